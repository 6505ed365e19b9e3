package load

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// gatekeeper answers what comes on one connection with one reply after the other, then hangs up. Everything that came is
// in received when the connection has ended.
func gatekeeper(t *testing.T, replies ...string) (addr string, received <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	all := make(chan string, 1)
	go func() { // ends with the connection, or with the listener
		came := ""
		defer func() { all <- came }()
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		request := make([]byte, 4096)
		for i := 0; ; i++ {
			n, err := c.Read(request)
			came += string(request[:n])
			if err != nil || i >= len(replies) {
				return
			}
			if _, err := c.Write([]byte(replies[i])); err != nil {
				return
			}
		}
	}()
	return ln.Addr().String(), all
}

func TestAuthenticate(t *testing.T) {
	ok := string(proto.AppendReply(nil, proto.Meta{}, proto.OK, ""))
	failed := string(proto.AppendReply(nil, proto.Meta{}, proto.EAUTHFAILED, "no"))
	for name, test := range map[string]struct {
		protocol Protocol
		replies  []string
		want     string // of the error; empty: there is none
		asked    bool   // the password has been sent
	}{
		"binary":                 {Binary, []string{ok, ok}, "", true},
		"binary, wrong":          {Binary, []string{ok, failed}, "authentication failed (no)", true},
		"binary, another server": {Binary, []string{"-ERR unknown command\r\n"}, "others need --protocol resp", false},
		"binary, hangs up":       {Binary, nil, "others need --protocol resp", false},
		"resp":                   {RESP, []string{"+OK\r\n"}, "", true},
		"resp, wrong":            {RESP, []string{"-WRONGPASS invalid\r\n"}, "the password: WRONGPASS invalid", true},
		"resp, hangs up":         {RESP, nil, "the password: ", true},
		"resp, endless line":     {RESP, []string{strings.Repeat("x", lineMax+1)}, "the password: ", true},
	} {
		t.Run(name, func(t *testing.T) {
			addr, received := gatekeeper(t, test.replies...)
			c := &Config{Addr: addr, Protocol: test.protocol, Password: "s3cret", Timeout: 30 * time.Second}
			cn, err := dial(context.Background(), c, 0)
			if err == nil {
				err = cn.close()
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error repeats the password: %v", err)
			}
			if asked := strings.Contains(<-received, "s3cret"); asked != test.asked {
				t.Errorf("the password was sent: %v, want %v", asked, test.asked)
			}
		})
	}
}

// A load that is interrupted doesn't wait for a server that says nothing.
func TestAuthenticateEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := authenticate(ctx, nc, &Config{Protocol: RESP, Password: "s3cret", Timeout: time.Hour}); err == nil {
		t.Error("a password was accepted by nobody")
	}
}
