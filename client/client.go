package client

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"sync"

	"github.com/nitrokv/nitrokv/proto"
)

// Client is a set of connections to one server. Make it with Open.
type Client struct {
	addr   string
	opt    Options
	slots  []slot
	seed   maphash.Seed // of the choice of connection
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // guards the fields below
	closed bool
	wg     sync.WaitGroup // goroutines of connections; grows under mu only while not closed
}

// Open returns a client for the server at addr ("host:port"). It checks the arguments only: connections
// are made when the first call needs them. A nil Options means the zero value.
func Open(addr string, o *Options) (*Client, error) {
	if _, port, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("nitrokv: address %q must have the form host:port: %w", addr, err)
	} else if port == "" {
		return nil, fmt.Errorf("nitrokv: address %q has no port; NitroKV's default is 6379", addr)
	}
	opt, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{addr: addr, opt: opt, seed: maphash.MakeSeed()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.slots = make([]slot, opt.Conns)
	for i := range c.slots {
		c.slots[i].client = c
	}
	return c, nil
}

// Close ends all connections and waits for their goroutines. Calls under way fail with ErrClosed, those
// whose request was sent and may change something with ErrOutcomeUnknown too. Closing twice is fine.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// goroutine runs f in a goroutine that Close waits for; false if the client is closed.
func (c *Client) goroutine(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// slotOf chooses the connection: the same for the same key, so that one goroutine's calls on a key stay in
// order even if it has given one of them up.
func (c *Client) slotOf(key string) *slot {
	if len(c.slots) == 1 {
		return &c.slots[0]
	}
	return &c.slots[maphash.String(c.seed, key)%uint64(len(c.slots))]
}

const tries = 4 // of a request that the server says it did not apply

// do sends the request, waits for its reply, and repeats both where that is safe. On success the call holds
// a reply of class 0.
func (c *Client) do(ctx context.Context, r *request, ca *call) error {
	s := c.slotOf(r.firstKey())
	relinked := false
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return localError(r, err, false)
		}
		again, err := c.once(ctx, s, r, ca)
		switch {
		case err == nil:
			return nil
		case again == repeatOnce && !relinked:
			relinked = true
		case again == repeatLater && try < tries:
			if sleep(ctx, backoff(try)) != nil {
				return err
			}
		default:
			return err
		}
	}
}

// repeat says whether a failed request may be sent again.
type repeat int

const (
	repeatNever repeat = iota
	repeatOnce         // on a new connection: a read, or surely not carried out
	repeatLater        // after a pause: the server says that it was not applied
)

// once sends the request and waits for its reply.
func (c *Client) once(ctx context.Context, s *slot, r *request, ca *call) (repeat, error) {
	if err := r.check(0); err != nil {
		return repeatNever, err
	}
	cn, err := s.get(ctx)
	if err != nil {
		return repeatNever, localError(r, err, false)
	}
	return cn.roundTrip(ctx, r, ca)
}

// roundTrip is once on a certain connection.
func (cn *conn) roundTrip(ctx context.Context, r *request, ca *call) (repeat, error) {
	if err := cn.send(ctx, r, ca); err != nil {
		var lost *lostError
		if errors.As(err, &lost) {
			return againUnlessClosed(lost), localError(r, lost, false)
		}
		return repeatNever, err
	}
	if err := cn.wait(ctx, ca); err != nil {
		return repeatNever, localError(r, err, true)
	}
	return ca.result(r)
}

// result turns an ended call into an error, and says whether the request may be repeated.
func (ca *call) result(r *request) (repeat, error) {
	if ca.lost != nil {
		again := repeatNever
		if ca.unsent || !r.op.Writes() {
			again = againUnlessClosed(ca.lost)
		}
		return again, localError(r, ca.lost, !ca.unsent)
	}
	switch ca.status.Class() {
	case proto.ClassOK:
		return repeatNever, nil
	case proto.ClassNotApplied:
		if ca.status == proto.ENOMEM || ca.status == proto.EMAXMEMORY {
			return repeatNever, statusError(r, ca.status, ca.text) // a pause of milliseconds frees no memory
		}
		return repeatLater, statusError(r, ca.status, ca.text)
	}
	return repeatNever, statusError(r, ca.status, ca.text)
}

func againUnlessClosed(lost error) repeat {
	if errors.Is(lost, ErrClosed) {
		return repeatNever
	}
	return repeatOnce
}
