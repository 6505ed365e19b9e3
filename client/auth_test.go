package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

const secret = "open sesame"

// guarded returns a server with a password.
func guarded(t testing.TB) *fakeServer {
	t.Helper()
	s := newFake(t)
	s.password = secret
	return s.start()
}

func TestPassword(t *testing.T) {
	for name, o := range map[string]Options{
		"default user": {Password: secret},
		"named user":   {Username: "default", Password: secret},
		"checksums":    {Password: secret, Checksums: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t)
			c, ctx := testClient(t, s, &o), limited(t)
			must(t, c.Set(ctx, "k", []byte("v")))
			s.dropAll()
			eventually(t, "the client sees that it was cut off", func() bool { return !c.slotOf("k").current.Load().alive() })
			v, err := c.Get(ctx, "k") // the next connection has to prove it again
			wantBytes(t, "Get", v, err, "v")
		})
	}
}

// Whatever goes wrong, the text says why, and never the password.
func TestPasswordRefused(t *testing.T) {
	open := newFake(t).start()
	leaving := newFake(t)
	leaving.hook = func(c *fakeConn, m *proto.Message) bool { _ = c.net.Close(); return true }
	leaving.start()
	for name, test := range map[string]struct {
		server *fakeServer
		o      Options
		want   error
		text   string
	}{
		"wrong":        {guarded(t), Options{Password: secret + "!"}, ErrUnauthorized, "authentication failed"},
		"wrong user":   {guarded(t), Options{Username: "ada", Password: secret}, proto.EAUTHFAILED, "authentication failed"},
		"none":         {guarded(t), Options{}, ErrUnauthorized, "authentication required"},
		"not asked":    {open, Options{Password: secret}, ErrInvalid, "no password is set"},
		"hang up":      {leaving, Options{Password: secret}, ErrConnection, "AUTH: closed by the server"},
		"no answer":    {open, Options{Password: secret, Dial: dialLate}, ErrConnection, "AUTH in time"},
		"other status": {full(t), Options{Password: secret}, ErrBusy, "too many attempts"},
	} {
		t.Run(name, func(t *testing.T) {
			c, ctx := testClient(t, test.server, &test.o), limited(t)
			err := c.Set(ctx, "k", nil)
			wantErr(t, err, test.want)
			text := fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err))
			if !strings.Contains(text, test.text) || strings.Contains(text, secret) {
				t.Errorf("the text lacks %q or has the password: %s", test.text, text)
			}
			if errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrNotNitroKV) {
				t.Errorf("a request that was not sent, to a server that greeted: %v", err)
			}
		})
	}
}

// lateConn is a connection whose time is up when the password has been sent.
type lateConn struct {
	net.Conn
	late bool
}

func (l *lateConn) Write(p []byte) (int, error) {
	l.late = strings.Contains(string(p), secret)
	return l.Conn.Write(p)
}

func (l *lateConn) Read(p []byte) (int, error) {
	if l.late {
		return 0, os.ErrDeadlineExceeded
	}
	return l.Conn.Read(p)
}

func dialLate(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	return &lateConn{Conn: nc}, err
}

// full returns a server that judges no more passwords.
func full(t testing.TB) *fakeServer {
	t.Helper()
	s := newFake(t)
	s.password = secret
	s.hook = func(c *fakeConn, m *proto.Message) bool {
		if m.Op() == proto.OpAuth {
			c.send(proto.AppendErrorReply(nil, proto.Meta{ID: m.ID}, proto.EBUSY, "too many attempts"))
		}
		return m.Op() == proto.OpAuth
	}
	return s.start()
}

// The password is for NitroKV servers: whatever answers HELLO with something else must not see it.
func TestPasswordOnlyAfterHello(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	got := make(chan string, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 4096)
		n, _ := nc.Read(buf)
		_, _ = nc.Write([]byte("-ERR unknown command\r\n"))
		more, _ := nc.Read(buf[n:]) // until the client has had enough
		got <- string(buf[:n+more])
		_ = nc.Close()
	}()
	c, err := Open(l.Addr().String(), &Options{Conns: 1, Password: secret})
	must(t, err)
	wantErr(t, c.Ping(limited(t)), ErrNotNitroKV)
	must(t, c.Close())
	if text := <-got; strings.Contains(text, secret) {
		t.Errorf("a stranger got %q", text)
	}
}

func TestPasswordOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"user alone": {Username: "ada"},
		"too long":   {Password: strings.Repeat(secret, 400)},
	} {
		_, err := Open("localhost:6379", &o)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The longest one that is taken fits into the frame that a server takes.
	o := Options{Username: strings.Repeat("u", 76), Password: strings.Repeat("p", authMax-76)}
	if _, err := o.withDefaults(); err != nil {
		t.Error(err)
	}
	frame := proto.AppendAuth(nil, proto.Meta{Flags: proto.FlagIntegrity}, proto.Auth{User: o.Username, Password: o.Password})
	if len(frame) != proto.LockedMax {
		t.Errorf("AUTH has %d bytes, the limit is %d", len(frame), proto.LockedMax)
	}
}
