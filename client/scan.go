package client

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// ScanOptions narrow a Scan. The zero value scans everything.
type ScanOptions struct {
	Pattern  string // glob: *, ?, [a-z], [^a], \; empty = all keys
	Count    uint32 // wish for the number of keys per request; 0 means 512
	Metadata bool   // fill Version, Expires and Size

	// Timeout bounds each request of the scan, which can be many; 0 means that the context alone does.
	Timeout time.Duration
}

// Entry is one key of a Scan. Without ScanOptions.Metadata only Key is set.
type Entry struct {
	Key     string
	Version uint64
	Expires time.Time // zero if it doesn't expire
	Size    int       // bytes of the value
}

// Scan visits the keys of the store, in no order. A key that is there from beginning to end is yielded at
// least once, others at most for a while; a key may be yielded twice.
//
// A failure ends the sequence with its error, so a loop that saw no error saw everything. All pages come
// over one connection, and when that breaks the scan fails rather than go on: the server behind a new
// connection may be a restarted one, which the position in the scan means nothing to.
func (c *Client) Scan(ctx context.Context, o ScanOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r := request{op: proto.OpScan, flags: c.level, scan: proto.Scan{Pattern: o.Pattern, Count: o.Count}}
		if o.Count == 0 {
			r.scan.Count = 512
		}
		if o.Metadata {
			r.scan.Options = proto.ScanMetadata
		}
		if err := c.scan(ctx, &r, o.Timeout, yield); err != nil {
			yield(Entry{}, err)
		}
	}
}

// scan yields page after page; nil when the scan is complete or the loop has been left.
func (c *Client) scan(ctx context.Context, r *request, timeout time.Duration, yield func(Entry, error) bool) error {
	if err := r.check(0); err != nil {
		return err
	}
	cn, err := c.scanConn(ctx, r, timeout)
	if err != nil {
		return localError(r, err, false)
	}
	ca := newCall(nil)
	defer ca.free()
	for {
		page, err := cn.scanPage(ctx, r, ca, timeout)
		if err != nil {
			return err
		}
		for e := range page.All() {
			entry := Entry{Key: string(e.Key), Version: e.Version, Expires: expiryTime(e.Expiry), Size: int(e.Size)}
			if !yield(entry, nil) {
				return nil
			}
		}
		if page.Cursor == 0 {
			return nil
		}
		r.scan.Cursor = page.Cursor
		ca.dst = ca.body[:0] // the next page reuses the memory of this one
	}
}

// scanConn returns the connection of the whole scan.
func (c *Client) scanConn(ctx context.Context, r *request, timeout time.Duration) (*conn, error) {
	ctx, cancel := withTimeout(ctx, timeout)
	defer cancel()
	return c.slotOf(r.scan.Pattern).get(ctx)
}

// withTimeout is the context's own unless there is a timeout.
func withTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// scanPage asks for one page, again if the server says that it is busy.
func (cn *conn) scanPage(ctx context.Context, r *request, ca *call, timeout time.Duration) (proto.ScanReply, error) {
	ctx, cancel := withTimeout(ctx, timeout)
	defer cancel()
	for try := 1; ; try++ {
		again, err := cn.roundTrip(ctx, r, ca)
		if err == nil {
			page, err := proto.ParseScanReply(ca.body, r.scan.Options)
			if err != nil {
				return page, localError(r, fmt.Errorf("page at cursor %#x: %w", r.scan.Cursor, err), false)
			}
			return page, nil
		}
		if !again.after(ctx, try) {
			return proto.ScanReply{}, err
		}
	}
}
