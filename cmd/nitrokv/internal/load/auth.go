package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// authName is what the load calls itself where the protocol asks for a name.
const authName = "nitrokv-bench"

// authenticate gives a new connection's password, if there is one, before any of the load's own requests. It may wait:
// that is no part of any measurement.
func authenticate(ctx context.Context, nc net.Conn, c *Config) error {
	if c.Password == "" {
		return nil
	}
	err := nc.SetDeadline(time.Now().Add(c.Timeout))
	if err != nil {
		return fmt.Errorf("limit the time for a password: %w", err)
	}
	// What a cut connection reports shows in the read that waits.
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	if c.Protocol == Binary {
		err = authBinary(nc, c.Password)
	} else {
		err = authRESP(nc, c.Password)
	}
	if err != nil {
		return fmt.Errorf("give %s the password: %w", c.Addr, err)
	}
	return nil
}

// authBinary sends HELLO first, so that no password goes to a server of another kind.
func authBinary(nc net.Conn, password string) error {
	replies := proto.NewReader(nc, proto.KindReply, proto.Limits{Message: lineMax})
	for _, request := range [][]byte{
		proto.AppendHello(nil, proto.Meta{}, proto.Hello{Min: proto.Version, Max: proto.Version, Name: authName}),
		proto.AppendAuth(nil, proto.Meta{}, proto.Auth{Password: password}),
	} {
		if _, err := nc.Write(request); err != nil {
			return err
		}
		reply, err := replies.Next()
		if err != nil {
			return fmt.Errorf("%w; is it a NitroKV server? (others need --protocol resp)", err)
		}
		if s := reply.Status(); s != proto.OK {
			return fmt.Errorf("%w (%s)", s, reply.Body)
		}
	}
	return nil
}

func authRESP(nc net.Conn, password string) error {
	if _, err := fmt.Fprintf(nc, "*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(password), password); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(nc, lineMax)).ReadString('\n')
	if err != nil {
		return err
	}
	if line = strings.TrimRight(line, "\r\n"); line != "+OK" {
		return errors.New(strings.TrimPrefix(line, "-"))
	}
	return nil
}
