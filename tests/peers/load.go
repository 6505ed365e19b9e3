package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// closedLoad is the load for servers that "nitrokv bench" doesn't speak to: a number of connections that each send a
// pipeline of alternating GETs and SETs, wait for all replies, and start again.
type closedLoad struct {
	addr      string
	wire      wire
	clients   int
	pipeline  int
	keys      int
	valueSize int
	duration  time.Duration
}

// runLoad is the subcommand: it measures and prints a loadResult as JSON.
func runLoad(ctx context.Context, args []string, stdout io.Writer) error {
	var l closedLoad
	fs := newFlagSet("peers load")
	protocol := fs.String("protocol", "", "memcached or echo")
	fs.StringVar(&l.addr, "addr", "", "the server's address")
	fs.IntVar(&l.clients, "clients", 50, "connections")
	fs.IntVar(&l.pipeline, "pipeline", 1, "requests in one write")
	fs.IntVar(&l.keys, "keys", 1_000_000, "number of keys")
	fs.IntVar(&l.valueSize, "value-size", 64, "bytes of a value")
	fs.DurationVar(&l.duration, "duration", time.Second, "how long")
	if err := fs.Parse(args); err != nil {
		return refusef("%v", err)
	}
	switch *protocol {
	case memcachedWire.name:
		l.wire = memcachedWire
	case echoWire.name:
		l.wire = echoWire
	default:
		return refusef("peers load: -protocol %q: it must be %s or %s", *protocol, memcachedWire.name, echoWire.name)
	}
	result, err := l.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(result)
}

// run drives all connections until the duration is over.
func (l closedLoad) run(ctx context.Context) (loadResult, error) {
	ctx, cancel := context.WithTimeout(ctx, l.duration)
	defer cancel()
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex // guards the two below
		requests int
		failures []error
	)
	began := time.Now()
	for i := range l.clients {
		wg.Go(func() {
			n, err := l.client(ctx, uint64(i))
			mu.Lock()
			defer mu.Unlock()
			requests += n
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	return loadResult{Requests: float64(requests), OpsPerSecond: float64(requests) / seconds}, errors.Join(failures...)
}

// client is one connection; it returns how many requests were answered.
func (l closedLoad) client(ctx context.Context, seed uint64) (int, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	rng := rand.New(rand.NewPCG(seed, 0))
	value := randomBytes(rng, l.valueSize)
	in := bufio.NewReaderSize(conn, 1<<16)
	var out, reply, key []byte
	done := 0
	for ctx.Err() == nil {
		out, reply = out[:0], reply[:0]
		for i := range l.pipeline {
			key = appendKey(key[:0], rng.IntN(l.keys))
			out, reply = l.appendRequest(out, reply, key, value, (done+i)%2 == 0)
		}
		if _, err := conn.Write(out); err != nil {
			return done, err
		}
		if err := l.checkReplies(in, reply); err != nil {
			return done, err
		}
		done += l.pipeline
	}
	return done, nil
}

// appendRequest adds a GET or a SET to out and a reply of the size it must have to reply.
func (l closedLoad) appendRequest(out, reply, key, value []byte, get bool) (newOut, newReply []byte) {
	at := len(out)
	if get {
		out = l.wire.appendGet(out, key)
	} else {
		out = l.wire.appendSet(out, key, value)
	}
	switch {
	case l.wire.getReply == nil:
		return out, append(reply, out[at:]...)
	case get:
		return out, l.wire.getReply(reply, key, value)
	default:
		return out, append(reply, l.wire.setReply...)
	}
}

// checkReplies reads as many bytes as were expected. A miss or an error has another size or another beginning; values are
// not compared, because another connection may have set the key.
func (l closedLoad) checkReplies(in *bufio.Reader, want []byte) error {
	first, err := in.Peek(min(4, len(want)))
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(want, first) {
		line, _ := in.Peek(in.Buffered())
		return fmt.Errorf("load %s: unexpected reply %.80q", l.addr, line)
	}
	n, err := in.Discard(len(want))
	if err != nil {
		return fmt.Errorf("load %s: %d of %d reply bytes: %w", l.addr, n, len(want), err)
	}
	return nil
}
