package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// The ceilings are Go servers that store nothing: what a Go server with one goroutine per connection costs at least.

// serveCeiling is the subcommand of a ceiling: it serves every connection with handle until ctx ends.
func serveCeiling(ctx context.Context, args []string, handle func(net.Conn) error) error {
	fs := newFlagSet("peers ceiling")
	port := fs.Int("port", 0, "port on 127.0.0.1")
	if err := fs.Parse(args); err != nil {
		return refusef("%v", err)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		return err
	}
	return acceptAll(ctx, ln, handle)
}

// acceptAll serves until ctx ends, then closes everything and waits for the connections' goroutines.
func acceptAll(ctx context.Context, ln net.Listener, handle func(net.Conn) error) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			defer conn.Close()
			// A failed connection is the client's affair: the load notices it.
			_ = handle(conn)
		})
	}
}

// echo writes back what it reads.
func echo(conn net.Conn) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// constant parses RESP and answers +OK to SET, a 64-byte value to GET, +PONG to everything else, in one write for all
// requests that one read brought.
func constant(conn net.Conn) error {
	value := []byte("$64\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n")
	in := bufio.NewReaderSize(conn, 1<<16)
	var args [][]byte
	var out []byte
	for {
		var err error
		if args, err = readRequest(in, args[:0]); err != nil {
			return err
		}
		switch {
		case len(args) == 3 && bytes.EqualFold(args[0], []byte("SET")):
			out = append(out, "+OK\r\n"...)
		case len(args) == 2 && bytes.EqualFold(args[0], []byte("GET")):
			out = append(out, value...)
		default:
			out = append(out, "+PONG\r\n"...)
		}
		if in.Buffered() > 0 {
			continue
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
}

// readRequest reads one array of bulk strings. The arguments reuse args's buffers.
func readRequest(in *bufio.Reader, args [][]byte) ([][]byte, error) {
	n, err := readLength(in, '*')
	if err != nil {
		return nil, err
	}
	if n > 1024 {
		return nil, fmt.Errorf("a request of %d arguments; this ceiling takes 1024", n)
	}
	for i := range n {
		size, err := readLength(in, '$')
		if err != nil {
			return nil, err
		}
		if size > 1<<20 {
			return nil, fmt.Errorf("an argument of %d bytes; this ceiling takes 1 MiB", size)
		}
		if i < cap(args) {
			args = args[:i+1]
		} else {
			args = append(args, nil)
		}
		if args[i], err = readBulk(in, args[i][:0], size); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func readBulk(in *bufio.Reader, dst []byte, size int) ([]byte, error) {
	if cap(dst) < size+2 {
		dst = make([]byte, size+2)
	}
	dst = dst[:size+2]
	if _, err := io.ReadFull(in, dst); err != nil {
		return nil, err
	}
	return dst[:size], nil
}

// readLength reads a line like *3 or $16.
func readLength(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 4 || line[0] != kind || line[len(line)-2] != '\r' {
		return 0, fmt.Errorf("%q is not a length that begins with %c", line, kind)
	}
	n := 0
	for _, c := range line[1 : len(line)-2] {
		if c < '0' || c > '9' || n > 1<<24 {
			return 0, errors.New("not a length")
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}
