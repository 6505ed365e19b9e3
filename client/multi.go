package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/nitrokv/nitrokv/proto"
)

// KV is a key with its value, for MSet.
type KV = proto.KV

// MGet returns the values of several keys in their order, nil for a missing one. It is one request. The
// values share one block of memory.
func (c *Client) MGet(ctx context.Context, keys ...string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	r := request{op: proto.OpMGet, keys: keys}
	body, err := c.bytes(ctx, &r)
	if err != nil {
		return nil, err
	}
	values, err := proto.ParseValues(body)
	if err == nil && int(values.Count) != len(keys) {
		err = fmt.Errorf("%d values for %d keys", values.Count, len(keys))
	}
	if err != nil {
		return nil, localError(&r, err, false)
	}
	out := make([][]byte, 0, len(keys))
	for s, v := range values.All() {
		if s.Class() > proto.ClassNegative {
			return nil, statusError(&r, s, "")
		}
		if s != proto.OK {
			v = nil
		}
		out = append(out, v)
	}
	return out, nil
}

// MSet stores several pairs atomically: nobody sees a part of them. Of a repeated key the last value
// stays. The only options that it takes are WithTTL and WithExpiry, for all pairs.
func (c *Client) MSet(ctx context.Context, pairs []KV, options ...SetOption) error {
	if len(pairs) == 0 {
		return nil
	}
	r := request{op: proto.OpMSet, pairs: pairs}
	if err := r.applyTimes("MSet", options); err != nil {
		return err
	}
	return c.plain(ctx, &r)
}

// MSetNX is MSet if none of the keys exists, and reports whether that was so.
func (c *Client) MSetNX(ctx context.Context, pairs []KV, options ...SetOption) (bool, error) {
	if len(pairs) == 0 {
		return true, nil
	}
	r := request{op: proto.OpMSetX, pairs: pairs, options: proto.MSetXIfAbsent}
	if err := r.applyTimes("MSetNX", options); err != nil {
		return false, err
	}
	return storedOrNot(c.plain(ctx, &r))
}

// applyTimes refuses the options that no list of pairs can have.
func (r *request) applyTimes(method string, options []SetOption) error {
	for i := range options {
		isTime, err := r.applyTime(&options[i])
		if err != nil {
			return err
		}
		if !isTime {
			return invalid(r, "%s takes the options WithTTL and WithExpiry only", method)
		}
	}
	return nil
}

// DeleteMany removes several keys atomically and returns how many existed.
func (c *Client) DeleteMany(ctx context.Context, keys ...string) (int, error) {
	return c.countKeys(ctx, &request{op: proto.OpMDelete, keys: keys})
}

// ExistsMany returns how many of the keys exist; a repeated key counts each time.
func (c *Client) ExistsMany(ctx context.Context, keys ...string) (int, error) {
	return c.countKeys(ctx, &request{op: proto.OpMExists, keys: keys})
}

func (c *Client) countKeys(ctx context.Context, r *request) (int, error) {
	if len(r.keys) == 0 {
		return 0, nil
	}
	return c.count(ctx, r)
}

// count is for requests that are answered with four bytes.
func (c *Client) count(ctx context.Context, r *request) (int, error) {
	ca := newSmallCall()
	defer ca.free()
	if err := c.do(ctx, r, ca); err != nil {
		return 0, err
	}
	n, err := proto.ParseUint32(ca.body)
	if err != nil {
		return 0, localError(r, err, true)
	}
	return int(n), nil
}

// foundOrNot makes a bool of an error that may be ErrNotFound.
func foundOrNot(err error) (bool, error) {
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
