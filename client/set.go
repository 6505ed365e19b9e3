package client

import (
	"context"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// SetOption changes what Set and the like do. Make one with WithTTL, WithExpiry, WithoutExpiry, IfAbsent,
// IfPresent or KeepTTL.
type SetOption struct {
	kind setKind
	ttl  time.Duration
	at   time.Time
}

type setKind uint8

const (
	setTTL setKind = iota + 1
	setExpiry
	setIfAbsent
	setIfPresent
	setKeepTTL
	setWithoutExpiry
)

// WithTTL lets the key expire after d, counted by the server's clock.
func WithTTL(d time.Duration) SetOption { return SetOption{kind: setTTL, ttl: d} }

// WithExpiry lets the key expire at t.
func WithExpiry(t time.Time) SetOption { return SetOption{kind: setExpiry, at: t} }

// WithoutExpiry removes the expiry. Set needs no such option: it does so anyway.
func WithoutExpiry() SetOption { return SetOption{kind: setWithoutExpiry} }

// IfAbsent stores only if the key doesn't exist; otherwise Set returns ErrNotStored.
func IfAbsent() SetOption { return SetOption{kind: setIfAbsent} }

// IfPresent stores only if the key exists; otherwise Set returns ErrNotStored.
func IfPresent() SetOption { return SetOption{kind: setIfPresent} }

// KeepTTL keeps the expiry of the value that is replaced. It excludes WithTTL and WithExpiry.
func KeepTTL() SetOption { return SetOption{kind: setKeepTTL} }

// Set stores a value. Without options it replaces whatever is there, and the key doesn't expire.
func (c *Client) Set(ctx context.Context, key string, value []byte, options ...SetOption) error {
	r := request{op: proto.OpSet, key: key, value: value}
	if err := r.apply(options); err != nil {
		return err
	}
	return c.plain(ctx, &r)
}

// SetVersion is Set and returns the version that the key has now, for CompareAndSwap.
func (c *Client) SetVersion(ctx context.Context, key string, value []byte, options ...SetOption) (uint64, error) {
	r := request{op: proto.OpSetX, key: key, value: value, options: proto.SetXVersion}
	if err := r.apply(options); err != nil {
		return 0, err
	}
	return c.version(ctx, &r)
}

// CompareAndSwap stores a value only if the key still has the given version, and returns the new one.
// Version 0 means that the key must not exist. Otherwise it returns ErrVersionMismatch and nothing has
// changed. Of several clients that try the same version, one wins.
func (c *Client) CompareAndSwap(ctx context.Context, key string, value []byte, version uint64,
	options ...SetOption) (uint64, error) {
	r := request{op: proto.OpSetX, key: key, value: value, options: proto.SetXVersion,
		flags: proto.FlagVersion, version: version}
	if err := r.apply(options); err != nil {
		return 0, err
	}
	return c.version(ctx, &r)
}

func (c *Client) version(ctx context.Context, r *request) (uint64, error) {
	ca := newSmallCall()
	defer ca.free()
	if err := c.do(ctx, r, ca); err != nil {
		return 0, err
	}
	return ca.version, nil
}

// apply turns the options into flags, blocks and option bits; SET becomes SETX where it has to.
func (r *request) apply(options []SetOption) error {
	persist := false
	for i := range options {
		if _, err := r.applyTime(&options[i]); err != nil {
			return err
		}
		switch options[i].kind {
		case setIfAbsent:
			r.options |= proto.SetXIfAbsent
		case setIfPresent:
			r.options |= proto.SetXIfPresent
		case setKeepTTL:
			r.options |= proto.SetXKeepTTL
		case setWithoutExpiry:
			persist = true
		}
	}
	if r.options != 0 {
		r.op = proto.OpSetX
	}
	if persist && (r.flags&proto.FlagExpiry != 0 || r.options&proto.SetXKeepTTL != 0) {
		return invalid(r, "WithoutExpiry excludes WithTTL, WithExpiry and KeepTTL")
	}
	return r.conflicts()
}

// applyTime turns WithTTL and WithExpiry into an EXPIRY block, and reports false for any other option.
func (r *request) applyTime(o *SetOption) (bool, error) {
	ok := false
	switch o.kind {
	case setTTL:
		r.expiry, ok = relativeExpiry(o.ttl)
	case setExpiry:
		r.expiry, ok = absoluteExpiry(o.at)
	default:
		return false, nil
	}
	if !ok {
		return true, invalid(r, "a time to live must be positive, an expiry later than 1970")
	}
	r.flags |= proto.FlagExpiry
	return true, nil
}

func (r *request) conflicts() error {
	const both = proto.SetXIfAbsent | proto.SetXIfPresent
	if r.options&both == both {
		return invalid(r, "IfAbsent and IfPresent exclude each other")
	}
	if r.options&proto.SetXKeepTTL != 0 && r.flags&proto.FlagExpiry != 0 {
		return invalid(r, "KeepTTL excludes WithTTL and WithExpiry")
	}
	return nil
}
