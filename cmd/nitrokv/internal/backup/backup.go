// Package backup copies a snapshot of a running server: SNAPSHOT OPEN has the server take one, SNAPSHOT READ hands out
// pieces of its file, SNAPSHOT CLOSE gives it back. The handle belongs to the connection, and ends with it.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

const (
	// pieceBytes is what one request asks for.
	pieceBytes = 1 << 20
	// piecesAhead is how many requests are under way, so that the network is never idle while a piece is written.
	piecesAhead = 4
	// watchEvery is how often the server is asked for a sign of life while it takes the snapshot.
	watchEvery = time.Second
	// loadingPause is how long a server that is loading its data is left alone.
	loadingPause = 100 * time.Millisecond
)

// Info is what a server says of the snapshot that it hands out.
type Info struct {
	LSN  uint64    // of the newest write in it
	Time time.Time // when it was so
	Keys uint64
	Size int64  // of the file
	Hash string // of the contents, hexadecimal
}

// A RefusedError is what a server answers in place of a snapshot.
type RefusedError struct{ Text string }

// Error implements error.
func (e *RefusedError) Error() string { return "the server refuses: " + e.Text }

// A Job is one copy. Progress may be called from any goroutine.
type Job struct {
	addr string
	opt  resp.Options

	done, size atomic.Int64
}

// New prepares to copy from the server at addr.
func New(addr string, opt resp.Options) *Job { return &Job{addr: addr, opt: opt} }

// Progress returns how many bytes have been copied, and how many there are: 0 before the server has taken its snapshot.
func (j *Job) Progress() (done, size int64) { return j.done.Load(), j.size.Load() }

// Run copies a new snapshot to w.
func (j *Job) Run(ctx context.Context, w io.Writer) (info Info, err error) {
	c, err := resp.Dial(ctx, j.addr, j.opt)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	handle, info, err := j.openLoaded(ctx, c)
	if err != nil {
		return Info{}, err
	}
	j.size.Store(info.Size)
	if err := j.copy(ctx, c, handle, w); err != nil {
		return Info{}, err
	}
	_, err = answer(c.Do(ctx, "SNAPSHOT", "CLOSE", handle))
	return info, err
}

// openLoaded is open, and waits as long as the timeout for a server that is loading its data.
func (j *Job) openLoaded(ctx context.Context, c *resp.Conn) (handle string, info Info, err error) {
	began := time.Now()
	for {
		handle, info, err = j.open(ctx, c)
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Text, "LOADING ") || time.Since(began) > j.opt.Timeout {
			return handle, info, err
		}
		select {
		case <-time.After(loadingPause):
		case <-ctx.Done():
			return "", Info{}, context.Cause(ctx)
		}
	}
}

// open has the server take a snapshot, however long that takes.
func (j *Job) open(ctx context.Context, c *resp.Conn) (handle string, info Info, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { cancel(j.watch(ctx)) })
	c.SetTimeout(0)
	v, err := c.Do(ctx, "SNAPSHOT", "OPEN")
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	watching.Wait()
	c.SetTimeout(j.opt.Timeout)
	if v, err = answer(v, err); err != nil {
		return "", Info{}, err
	}
	return parseOpened(v)
}

// watch returns when the server has given no sign of life for the timeout. The connection that waits for the snapshot can't
// tell: nothing comes over it for as long as it takes. Any other trouble than silence shows there too.
func (j *Job) watch(ctx context.Context) error {
	again := time.NewTicker(watchEvery)
	defer again.Stop()
	c, err := resp.Dial(ctx, j.addr, j.opt)
	for err == nil {
		select {
		case <-ctx.Done():
			return c.Close()
		case <-again.C:
			_, err = c.Do(ctx, "PING")
		}
	}
	if c != nil {
		err = errors.Join(err, c.Close())
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done()
	}
	return err
}

// parseOpened reads the reply to OPEN: handle, size, LSN, milliseconds since 1970, keys, hash.
func parseOpened(v resp.Value) (handle string, info Info, err error) {
	const numbers = 5
	if v.Kind != resp.Array || len(v.Elems) != numbers+1 {
		return "", Info{}, errors.New("the server's answer to SNAPSHOT OPEN is not of the form that this version knows")
	}
	var n [numbers]int64
	for i := range n {
		if v.Elems[i].Kind != resp.Int || v.Elems[i].Int < 0 {
			return "", Info{}, fmt.Errorf("the server's answer to SNAPSHOT OPEN is not of the form that this version knows: part %d is no number", i+1)
		}
		n[i] = v.Elems[i].Int
	}
	info = Info{Size: n[1], LSN: uint64(n[2]), Time: time.UnixMilli(n[3]), Keys: uint64(n[4]), Hash: v.Elems[numbers].Text}
	return strconv.FormatInt(n[0], 10), info, nil
}

// copy reads the file from its beginning to its end.
func (j *Job) copy(ctx context.Context, c *resp.Conn, handle string, w io.Writer) error {
	size := j.size.Load()
	piece := func(offset int64) int64 { return min(pieceBytes, size-offset) }
	for asked, got := int64(0), int64(0); got < size; {
		for asked < size && asked-got < piecesAhead*pieceBytes {
			c.Send("SNAPSHOT", "READ", handle, strconv.FormatInt(asked, 10), strconv.FormatInt(piece(asked), 10))
			asked += piece(asked)
		}
		if err := c.Flush(ctx); err != nil {
			return err
		}
		v, err := answer(receive(ctx, c))
		if err != nil {
			return fmt.Errorf("at byte %d of %d: %w", got, size, err)
		}
		if v.Kind != resp.Bulk || int64(len(v.Text)) != piece(got) {
			return fmt.Errorf("at byte %d of %d: the server has sent %d bytes, not the %d that were asked for", got, size, len(v.Text), piece(got))
		}
		if _, err := io.WriteString(w, v.Text); err != nil {
			return err
		}
		got += int64(len(v.Text))
		j.done.Store(got)
	}
	return nil
}

// receive returns the next reply; pushes are nothing that was asked for.
func receive(ctx context.Context, c *resp.Conn) (resp.Value, error) {
	for {
		if v, err := c.Receive(ctx); err != nil || v.Kind != resp.Push {
			return v, err
		}
	}
}

// answer makes an error of an error reply.
func answer(v resp.Value, err error) (resp.Value, error) {
	if err == nil && v.Kind == resp.Error {
		err = &RefusedError{v.Text}
	}
	return v, err
}
