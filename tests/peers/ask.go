package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// askLimit bounds the wait for one reply, which for WAITAOF may be the sync of everything that a load has left.
const askLimit = time.Minute

// ask sends one request on a connection of its own and returns the reply's first line, or the text of a bulk string.
func ask(ctx context.Context, addr string, args ...string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(askLimit)); err != nil {
		return "", err
	}
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		request = appendBulk(request, []byte(a))
	}
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if size, ok := strings.CutPrefix(line, "$"); ok {
		n, err := strconv.Atoi(size)
		if err != nil || n < 0 {
			return "", fmt.Errorf("%s %q was answered with %q", addr, args, line)
		}
		text := make([]byte, n)
		_, err = io.ReadFull(in, text)
		return string(text), err
	}
	return line, nil
}

// waitDurable returns when everything that a server has acknowledged is on disk. The wait is asked for by a connection
// that has itself written, because Redis looks at the connection's own writes alone.
func waitDurable(ctx context.Context, srv *server) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", srv.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(askLimit)); err != nil {
		return err
	}
	request := respWire.appendSet(nil, appendKey(nil, 0), []byte("last"))
	request = append(request, "*4\r\n$7\r\nWAITAOF\r\n$1\r\n1\r\n$1\r\n0\r\n$1\r\n0\r\n"...)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	want := respWire.setReply + "*2\r\n:1\r\n:0\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("WAITAOF on %s: %w (got %q)", srv.addr, err, got)
	}
	if string(got) != want {
		return fmt.Errorf("WAITAOF on %s was answered with %q", srv.addr, got)
	}
	return nil
}
