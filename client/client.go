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
	*pool
	level proto.Flags // the durability bits of every request
}

// pool is what a client shares with those that WithDurability has made of it.
type pool struct {
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
	p := &pool{addr: addr, opt: opt, seed: maphash.MakeSeed()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.slots = make([]slot, opt.Conns)
	for i := range p.slots {
		p.slots[i].pool = p
	}
	return &Client{pool: p, level: opt.Durability.flags()}, nil
}

// Close ends all connections and waits for their goroutines. Calls under way fail with ErrClosed, those
// whose request was sent and may change something with ErrOutcomeUnknown too. Closing twice is fine. It
// closes what WithDurability has made of the client, too.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// goroutine runs f in a goroutine that Close waits for; false if the client is closed.
func (p *pool) goroutine(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(f)
	return true
}

// slotOf chooses the connection: the same for the same key, so that one goroutine's calls on a key stay in
// order even if it has given one of them up.
func (p *pool) slotOf(key string) *slot {
	if len(p.slots) == 1 {
		return &p.slots[0]
	}
	return &p.slots[maphash.String(p.seed, key)%uint64(len(p.slots))]
}

const tries = 4 // of a request that the server says it did not apply

// do sends the request, waits for its reply, and repeats both where that is safe. On success the call holds
// a reply of class 0.
func (c *Client) do(ctx context.Context, r *request, ca *call) error {
	r.flags |= c.level
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
		case !again.after(ctx, try):
			return err
		}
	}
}

// repeat says whether a failed request may be sent again.
type repeat int

const (
	repeatNever  repeat = iota
	repeatOnce          // on a new connection: a read, or surely not carried out
	repeatLater         // after a pause: the server says that it was not applied
	repeatLoaded        // the same, but the reason may last: the server is loading its data
)

// after reports whether the request may be sent again after that many tries, and makes the pause before.
// A server that is loading is waited for as long as the context allows, if it says how long that is.
func (again repeat) after(ctx context.Context, try int) bool {
	more := again == repeatLater && try < tries
	if again == repeatLoaded {
		_, limited := ctx.Deadline()
		more = limited || try < tries
	}
	return more && sleep(ctx, backoff(try)) == nil
}

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
		return repeatOf(ca.status), statusError(r, ca.status, ca.text)
	}
	return repeatNever, statusError(r, ca.status, ca.text)
}

// repeatOf says whether a pause may help against a status that means "surely not applied".
func repeatOf(s proto.Status) repeat {
	switch s {
	case proto.ENOMEM, proto.EMAXMEMORY, proto.ELOGFULL: // milliseconds free no memory and no disk
		return repeatNever
	case proto.EREADONLY: // until a restart
		return repeatNever
	case proto.ELOADING:
		return repeatLoaded
	}
	return repeatLater
}

func againUnlessClosed(lost error) repeat {
	if errors.Is(lost, ErrClosed) {
		return repeatNever
	}
	return repeatOnce
}
