package client

import (
	"context"
	"math"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// ExpireCondition makes Expire and ExpireAt depend on the expiry that the key has. If it fails, they return
// ErrNotStored.
type ExpireCondition uint8

// The conditions. A key that doesn't expire counts as expiring later than any time. Several must all hold;
// ExpireIfNone excludes the others, ExpireIfLater excludes ExpireIfSooner.
const (
	ExpireIfNone   = ExpireCondition(proto.ExpireXIfNone)   // the key doesn't expire
	ExpireIfSet    = ExpireCondition(proto.ExpireXIfSet)    // the key expires
	ExpireIfLater  = ExpireCondition(proto.ExpireXIfLater)  // the new expiry is later than the old one
	ExpireIfSooner = ExpireCondition(proto.ExpireXIfSooner) // the new expiry is sooner than the old one
)

// Expire lets a key expire after ttl, or returns ErrNotFound. A ttl that is not positive is ErrInvalid:
// use Delete.
func (c *Client) Expire(ctx context.Context, key string, ttl time.Duration, conditions ...ExpireCondition) error {
	r, err := expireAfter(key, ttl, conditions)
	if err != nil {
		return err
	}
	return c.plain(ctx, &r)
}

// ExpireAt lets a key expire at a time, or returns ErrNotFound. A time that has passed deletes the key.
func (c *Client) ExpireAt(ctx context.Context, key string, at time.Time, conditions ...ExpireCondition) error {
	r := request{op: proto.OpExpire, key: key}
	ok := false
	if r.expiry, ok = absoluteExpiry(at); !ok {
		return invalid(&r, "an expiry must be later than 1970, got %v", at)
	}
	if err := r.onlyIf(conditions); err != nil {
		return err
	}
	return c.plain(ctx, &r)
}

// expireAfter is the request of Expire.
func expireAfter(key string, ttl time.Duration, conditions []ExpireCondition) (request, error) {
	r := request{op: proto.OpExpire, key: key}
	ok := false
	if r.expiry, ok = relativeExpiry(ttl); !ok {
		return r, invalid(&r, "a time to live must be positive, got %v", ttl)
	}
	return r, r.onlyIf(conditions)
}

// onlyIf makes EXPIREX of EXPIRE if there are conditions.
func (r *request) onlyIf(conditions []ExpireCondition) error {
	for _, c := range conditions {
		r.op = proto.OpExpireX
		r.options |= uint8(c)
	}
	const all = proto.ExpireXIfNone | proto.ExpireXIfSet | proto.ExpireXIfLater | proto.ExpireXIfSooner
	const both = proto.ExpireXIfLater | proto.ExpireXIfSooner
	switch {
	case r.options&^all != 0:
		return invalid(r, "condition %#02x is none of the constants", r.options&^all)
	case r.options&proto.ExpireXIfNone != 0 && r.options != proto.ExpireXIfNone:
		return invalid(r, "ExpireIfNone excludes the other conditions")
	case r.options&both == both:
		return invalid(r, "ExpireIfLater and ExpireIfSooner exclude each other")
	}
	return nil
}

// NoExpiry is what TTL returns for a key that doesn't expire.
const NoExpiry time.Duration = -1

// TTL returns how long a key has left, or NoExpiry; or ErrNotFound. More than the 292 years that a Duration
// can hold become these.
func (c *Client) TTL(ctx context.Context, key string) (time.Duration, error) {
	ms, err := c.number(ctx, &request{op: proto.OpTTL, key: key})
	switch {
	case err != nil:
		return 0, err
	case ms < 0:
		return NoExpiry, nil
	case ms > int64(math.MaxInt64/time.Millisecond):
		return math.MaxInt64, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// ExpireTime returns when a key expires, to the millisecond, and false if it doesn't; or ErrNotFound.
func (c *Client) ExpireTime(ctx context.Context, key string) (time.Time, bool, error) {
	ms, err := c.number(ctx, &request{op: proto.OpExpireTime, key: key})
	if err != nil || ms < 0 {
		return time.Time{}, false, err
	}
	return time.UnixMilli(ms), true, nil
}

// Persist removes the expiry of a key and reports whether it had one; or ErrNotFound.
func (c *Client) Persist(ctx context.Context, key string) (bool, error) {
	r := request{op: proto.OpPersist, key: key}
	ca := newSmallCall()
	defer ca.free()
	if err := c.do(ctx, &r, ca); err != nil {
		return false, err
	}
	removed, err := proto.ParsePersist(ca.body)
	if err != nil {
		return false, localError(&r, err, true)
	}
	return removed, nil
}
