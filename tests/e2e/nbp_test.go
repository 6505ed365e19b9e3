package e2e

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// An nbpConn is a connection that speaks the binary protocol and leaves to the test when requests are sent, with which
// level, and in which order replies come, all of which package client hides.
type nbpConn struct {
	net.Conn
	in *proto.Reader
	id uint16
}

func openNBP(addr string) (*nbpConn, error) {
	conn, err := net.DialTimeout("tcp", addr, callLimit)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &nbpConn{Conn: conn, in: proto.NewReader(conn, proto.KindReply, proto.Limits{})}, nil
}

func dialNBP(t *testing.T, p *process) *nbpConn {
	t.Helper()
	c, err := openNBP(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// next is what a new request carries beside its body.
func (c *nbpConn) next(level proto.Flags) proto.Meta {
	c.id++
	return proto.Meta{ID: c.id, Flags: level}
}

// set and get send a request and return its id.
func (c *nbpConn) set(level proto.Flags, key, value string) (uint16, error) {
	m := c.next(level)
	_, err := c.Write(proto.AppendSet(nil, m, key, value))
	return m.ID, err
}

func (c *nbpConn) get(level proto.Flags, key string) (uint16, error) {
	m := c.next(level)
	_, err := c.Write(proto.AppendGet(nil, m, key))
	return m.ID, err
}

// reply reads the reply to one request that is the only one under way.
func (c *nbpConn) reply(id uint16) (proto.Status, string, error) {
	m, err := c.in.Next()
	if err != nil {
		return 0, "", err
	}
	if m.ID != id {
		return 0, "", fmt.Errorf("a reply has id %d, want %d", m.ID, id)
	}
	return m.Status(), string(m.Body), nil
}
