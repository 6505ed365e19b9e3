package load

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

// A fake is a small key-value server for one protocol, with ways to misbehave.
type fake struct {
	binary bool
	addr   string
	ln     net.Listener
	wg     sync.WaitGroup

	// The hooks may be nil, and must not change once the server runs: the load's own system calls order nothing for
	// the race detector. They run with mu held.
	onGet func(n int, key string, value []byte, ok bool) ([]byte, bool) // changes what a GET returns; n counts GETs
	onSet func(n int, key string) string                                // an error text refuses the SET
	delay func(n int)                                                   // before request n is answered

	mu       sync.Mutex // guards the fields below
	data     map[string][]byte
	conns    map[net.Conn]bool
	gets     int
	sets     int
	requests int
	closed   bool
}

// serve starts the server; the test's end stops it.
func (f *fake) serve(t *testing.T) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.ln, f.addr = ln, ln.Addr().String()
	f.data, f.conns = make(map[string][]byte), make(map[net.Conn]bool)
	f.wg.Go(f.accept)
	t.Cleanup(f.stop)
	return f
}

func (f *fake) accept() {
	for {
		c, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[c] = true
		if f.closed {
			_ = c.Close()
		}
		f.mu.Unlock()
		f.wg.Go(func() { f.connection(c) })
	}
}

// stop cuts every connection and waits for all goroutines.
func (f *fake) stop() {
	_ = f.ln.Close()
	f.mu.Lock()
	f.closed = true
	for c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// seen returns how many requests came and how many keys there are.
func (f *fake) seen() (requests, keys int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests, len(f.data)
}

// stored returns what the keys have.
func (f *fake) stored() map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.data)
}

func (f *fake) connection(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReader(c), bufio.NewWriter(c)
	for {
		var err error
		if f.binary {
			err = f.answerBinary(r, w)
		} else {
			err = f.answerRESP(r, w)
		}
		if err == nil && r.Buffered() == 0 {
			err = w.Flush()
		}
		if err != nil {
			return
		}
	}
}

// do carries out one request and says what to answer.
func (f *fake) do(verb, key string, value []byte) (body []byte, ok bool, refused string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.delay != nil {
		f.delay(f.requests)
	}
	if verb == "GET" {
		f.gets++
		body, ok = f.data[key]
		if f.onGet != nil {
			body, ok = f.onGet(f.gets, key, body, ok)
		}
		return body, ok, ""
	}
	f.sets++
	if f.onSet != nil {
		if refused = f.onSet(f.sets, key); refused != "" {
			return nil, false, refused
		}
	}
	f.data[key] = value
	return nil, true, ""
}

func (f *fake) answerRESP(r *bufio.Reader, w *bufio.Writer) error {
	args, err := readArray(r)
	if err != nil {
		return err
	}
	body, ok, refused := f.do(args[0], args[1], []byte(args[len(args)-1]))
	switch {
	case refused != "":
		_, err = fmt.Fprintf(w, "-%s\r\n", refused)
	case args[0] == "SET":
		_, err = w.WriteString("+OK\r\n")
	case !ok:
		_, err = w.WriteString("$-1\r\n")
	default:
		_, err = fmt.Fprintf(w, "$%d\r\n%s\r\n", len(body), body)
	}
	return err
}

func readArray(r *bufio.Reader) ([]string, error) {
	n, err := readNumber(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readNumber(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readNumber(r *bufio.Reader, mark byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != mark {
		return 0, errors.New("bad request")
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

func (f *fake) answerBinary(r *bufio.Reader, w *bufio.Writer) error {
	head := make([]byte, proto.HeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	h, err := proto.ParseHeader(head)
	if err != nil {
		return err
	}
	b := make([]byte, h.Length)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	size := int(binary.LittleEndian.Uint16(b))
	key, value := string(b[2:2+size]), b[2+size:]
	body, ok, refused := f.do(h.Op().String(), key, value)
	reply := proto.Header{Kind: proto.KindReply, ID: h.ID, Code: uint8(proto.OK)}
	switch {
	case refused != "":
		reply.Code, body = uint8(proto.EMAXMEMORY), []byte(refused)
	case !ok:
		reply.Code = uint8(proto.ENOTFOUND)
	}
	return writeFrames(w, reply, body)
}

// frameSize is so small that larger values come in several frames.
const frameSize = 4096

func writeFrames(w *bufio.Writer, h proto.Header, body []byte) error {
	for {
		part := body[:min(len(body), frameSize)]
		body = body[len(part):]
		h.Length, h.Flags = uint32(len(part)), 0
		if len(body) > 0 {
			h.Flags = proto.FlagMore
		}
		if _, err := w.Write(append(h.Append(nil), part...)); err != nil {
			return err
		}
		if len(body) == 0 {
			return nil
		}
	}
}
