package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// greeting is a connection that is being made: its requests are sent one by one, before anybody else can use it.
type greeting struct {
	net    net.Conn
	reader *proto.Reader
	meta   proto.Meta
}

// greet says who both sides are: HELLO, then AUTH if there is a password. AUTH waits for the reply to HELLO, so
// that no password goes to a service that is no NitroKV server.
func greet(ctx context.Context, addr string, nc net.Conn, o *Options) (*conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// No limit on a joined reply: an MGET of large values may be longer than any value, the reader's memory
	// grows only with what arrives, and it was this client that asked.
	g := greeting{net: nc, meta: proto.Meta{ID: 1},
		reader: proto.NewReader(nc, proto.KindReply, proto.Limits{Message: math.MaxInt})}
	if o.Checksums {
		g.meta.Flags = proto.FlagIntegrity
	}
	h, err := g.hello(o)
	if err == nil && o.Password != "" {
		err = g.auth(o)
	}
	if err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err() // the deadline may have been spoiled already
	}
	return newConn(addr, nc, g.reader, h, o), nil
}

// ask sends a request and returns the body of its reply.
func (g *greeting) ask(op proto.Op, request []byte) ([]byte, error) {
	if _, err := g.net.Write(request); err != nil {
		return nil, fmt.Errorf("sending %s: %w", op, err)
	}
	reply, err := g.reader.Next()
	if err != nil {
		return nil, err
	}
	if s := reply.Status(); s != proto.OK {
		return nil, &refusedError{op: op, status: s, text: string(reply.Body)}
	}
	return reply.Body, nil
}

const minFrame = 1 << 10 // a frame limit below this makes no sense

// hello settles the version and the limits, and tells other servers apart.
func (g *greeting) hello(o *Options) (proto.HelloReply, error) {
	hello := proto.Hello{Min: proto.Version, Max: proto.Version, Name: o.Name}
	body, err := g.ask(proto.OpHello, proto.AppendHello(nil, g.meta, hello))
	if err != nil {
		return proto.HelloReply{}, helloError(err)
	}
	h, err := proto.ParseHelloReply(body)
	if err != nil {
		return h, fmt.Errorf("%w: its reply to HELLO is malformed: %w", ErrNotNitroKV, err)
	}
	if h.Version != proto.Version || h.FrameMax < minFrame {
		return h, fmt.Errorf("%w: it offers version %d of the protocol and frames of %d bytes; this client "+
			"speaks version %d and needs frames of %d", ErrUnsupported, h.Version, h.FrameMax, proto.Version,
			minFrame)
	}
	return h, nil
}

// helloError says what it means that HELLO was not answered with a reply.
func helloError(err error) error {
	var fe *proto.FrameError
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return err
	case errors.As(err, &fe):
		return fmt.Errorf("%w: its answer to HELLO is not in the binary protocol (%w); is this the address of "+
			"another service?", ErrNotNitroKV, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: it did not answer HELLO in time; is this the address of another service, or is "+
			"the server overloaded? (%w)", ErrNotNitroKV, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it closed the connection instead of answering HELLO (%w)", ErrNotNitroKV, err)
	}
	return fmt.Errorf("waiting for the reply to HELLO: %w", err)
}

// authMax is how long user and password together may be: more doesn't fit into the one frame that a server
// takes before it knows its client.
const authMax = proto.LockedMax - proto.HeaderSize - 8 - 4 // INTEGRITY block, two lengths

// auth proves who the client is.
func (g *greeting) auth(o *Options) error {
	a := proto.Auth{User: o.Username, Password: o.Password}
	_, err := g.ask(proto.OpAuth, proto.AppendAuth(nil, g.meta, a))
	var refused *refusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the server did not answer AUTH in time, as it does after many wrong passwords (%w)", err)
	}
	return fmt.Errorf("waiting for the reply to AUTH: %w", readError(err))
}

// refusedError is a server's no to HELLO or AUTH.
type refusedError struct {
	op     proto.Op
	status proto.Status
	text   string // the server's words
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the server refuses %s: %s: %s", e.op, e.status.Error(), e.text)
}

func (e *refusedError) Unwrap() error { return e.status }

// Is makes the Err… variables match.
func (e *refusedError) Is(target error) bool {
	s, ok := sentinels[e.status]
	return ok && s == target
}
