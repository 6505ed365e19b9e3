package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

const (
	loaderBatch = 256 // requests in one write
	noiseBytes  = 1 << 20
)

// A loader fills, changes and empties a server over one connection in large pipelines, checks every reply, and knows
// what the server must hold afterwards. The values are windows into random bytes, so nothing can compress them.
type loader struct {
	wire  wire
	conn  net.Conn
	noise []byte
	rng   *rand.Rand
	size  []uint16 // of each key's value; 0: the key doesn't exist
	out   []byte   // requests of the batch
	want  []byte   // the replies it must get
	got   []byte
	batch int
	key   []byte
}

// newLoader connects to a server; the same seed gives the same requests to every server.
func newLoader(ctx context.Context, w wire, addr string, keys int) (*loader, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &loader{wire: w, conn: conn, rng: rand.New(rand.NewPCG(1, 2)), size: make([]uint16, keys)}
	l.noise = randomBytes(l.rng, noiseBytes)
	return l, nil
}

func (l *loader) close() error { return l.conn.Close() }

// fill sets every key once.
func (l *loader) fill(ctx context.Context, valueSize int) error {
	for i := range l.size {
		if err := l.set(ctx, i, valueSize); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

// overwrite sets n random keys to values of minSize to maxSize bytes.
func (l *loader) overwrite(ctx context.Context, n, minSize, maxSize int) error {
	for range n {
		size := minSize + l.rng.IntN(maxSize-minSize+1)
		if err := l.set(ctx, l.rng.IntN(len(l.size)), size); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

// deleteMost deletes nine of ten keys in random order.
func (l *loader) deleteMost(ctx context.Context) error {
	for _, i := range l.rng.Perm(len(l.size))[:len(l.size)/10*9] {
		l.key = appendKey(l.key[:0], i)
		l.size[i] = 0
		l.out = l.wire.appendDel(l.out, l.key)
		if err := l.expect(ctx, l.wire.delReply); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

// set adds one request to the batch.
func (l *loader) set(ctx context.Context, i, size int) error {
	at := l.rng.IntN(noiseBytes - size)
	l.key = appendKey(l.key[:0], i)
	l.size[i] = uint16(size)
	l.out = l.wire.appendSet(l.out, l.key, l.noise[at:at+size])
	return l.expect(ctx, l.wire.setReply)
}

func (l *loader) expect(ctx context.Context, reply string) error {
	l.want = append(l.want, reply...)
	if l.batch++; l.batch < loaderBatch {
		return nil
	}
	return l.flush(ctx)
}

// flush sends the batch and compares the replies.
func (l *loader) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := l.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := l.conn.Write(l.out); err != nil {
		return fmt.Errorf("load %s: %w", l.conn.RemoteAddr(), err)
	}
	l.got = append(l.got[:0], l.want...)
	n, err := io.ReadFull(l.conn, l.got)
	if !bytes.Equal(l.got[:n], l.want[:n]) {
		return fmt.Errorf("load %s: unexpected reply %.80q", l.conn.RemoteAddr(), l.got[:n])
	}
	if err != nil {
		return fmt.Errorf("load %s: %d of %d reply bytes: %w", l.conn.RemoteAddr(), n, len(l.want), err)
	}
	l.out, l.want, l.batch = l.out[:0], l.want[:0], 0
	return nil
}

// live returns how many keys exist and the bytes of their keys and values.
func (l *loader) live() (keys int, size int64) {
	for _, n := range l.size {
		if n > 0 {
			keys++
			size += keySize + int64(n)
		}
	}
	return keys, size
}
