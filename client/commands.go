package client

import (
	"context"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// Item is a value with what the server knows about it.
type Item struct {
	Value   []byte
	Version uint64    // for CompareAndSwap: unique in the store, larger after every write of the key
	Expires time.Time // zero if it doesn't expire
}

// Get returns the value of a key in a slice of its own, or ErrNotFound.
func (c *Client) Get(ctx context.Context, key string) ([]byte, error) {
	return c.GetInto(ctx, key, nil)
}

// GetInto appends the value of a key to dst and returns the extended slice: with a large enough dst, no
// value is allocated. On an error it returns dst as it was; the bytes between its length and capacity are
// then undefined.
func (c *Client) GetInto(ctx context.Context, key string, dst []byte) ([]byte, error) {
	r := request{op: proto.OpGet, key: key}
	ca := newCall(dst)
	defer ca.free()
	if err := c.do(ctx, &r, ca); err != nil {
		return dst, err
	}
	return ca.body, nil
}

// GetItem returns a value with its version and expiry, or ErrNotFound.
func (c *Client) GetItem(ctx context.Context, key string) (Item, error) {
	r := request{op: proto.OpGetX, key: key, options: proto.GetXVersion | proto.GetXExpiry}
	ca := newCall(nil)
	defer ca.free()
	if err := c.do(ctx, &r, ca); err != nil {
		return Item{}, err
	}
	return Item{Value: ca.body, Version: ca.version, Expires: expiryTime(ca.expiry)}, nil
}

// Delete removes a key, or returns ErrNotFound.
func (c *Client) Delete(ctx context.Context, key string) error {
	return c.plain(ctx, &request{op: proto.OpDelete, key: key})
}

// plain is for requests whose replies say nothing but the status.
func (c *Client) plain(ctx context.Context, r *request) error {
	ca := newSmallCall()
	defer ca.free()
	return c.do(ctx, r, ca)
}

// Exists reports whether a key exists.
func (c *Client) Exists(ctx context.Context, key string) (bool, error) {
	return foundOrNot(c.plain(ctx, &request{op: proto.OpExists, key: key}))
}

// Incr adds delta, which may be negative, to the integer in a key, and returns the result. A missing key
// counts as 0. It fails with ErrNotNumber or ErrOverflow.
func (c *Client) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	return c.number(ctx, &request{op: proto.OpIncr, key: key, delta: delta})
}

// number is for requests that are answered with eight bytes.
func (c *Client) number(ctx context.Context, r *request) (int64, error) {
	ca := newSmallCall()
	defer ca.free()
	if err := c.do(ctx, r, ca); err != nil {
		return 0, err
	}
	n, err := proto.ParseInt64(ca.body)
	if err != nil {
		return 0, localError(r, err, true)
	}
	return n, nil
}

// MemoryUsage returns how many bytes of the server's memory a key takes, or ErrNotFound.
func (c *Client) MemoryUsage(ctx context.Context, key string) (int64, error) {
	return c.number(ctx, &request{op: proto.OpMemory, key: key})
}

// Count returns the number of keys in the store.
func (c *Client) Count(ctx context.Context) (int64, error) {
	return c.number(ctx, &request{op: proto.OpCount})
}

// Flush removes every key.
func (c *Client) Flush(ctx context.Context) error {
	return c.plain(ctx, &request{op: proto.OpFlush})
}

// Sync returns nil when every write that was acknowledged before the call is on disk, at whatever level and
// to whatever client. ErrUnsupported means that the server keeps no log; ErrNotDurable that its log failed.
func (c *Client) Sync(ctx context.Context) error {
	return c.plain(ctx, &request{op: proto.OpSync})
}

// Stats returns the server's statistics as "name:value" lines: one section, or all if it is empty.
func (c *Client) Stats(ctx context.Context, section string) (string, error) {
	b, err := c.bytes(ctx, &request{op: proto.OpStats, value: []byte(section)})
	return string(b), err
}

// Echo returns what it was given, by way of the server.
func (c *Client) Echo(ctx context.Context, message []byte) ([]byte, error) {
	return c.bytes(ctx, &request{op: proto.OpEcho, value: message})
}

func (c *Client) bytes(ctx context.Context, r *request) ([]byte, error) {
	ca := newCall(nil)
	defer ca.free()
	if err := c.do(ctx, r, ca); err != nil {
		return nil, err
	}
	return ca.body, nil
}

// Ping checks that the server answers.
func (c *Client) Ping(ctx context.Context) error {
	return c.plain(ctx, &request{op: proto.OpNoop})
}
