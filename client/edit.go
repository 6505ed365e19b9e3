package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/nitrokv/nitrokv/proto"
)

// GetDel returns the value of a key and removes it, or returns ErrNotFound. Of several callers one gets it.
func (c *Client) GetDel(ctx context.Context, key string) ([]byte, error) {
	return c.bytes(ctx, &request{op: proto.OpGetDel, key: key})
}

// GetEx returns the value of a key, or ErrNotFound, and changes its expiry: WithTTL, WithExpiry and
// WithoutExpiry are the options that it takes. Without any it is Get.
func (c *Client) GetEx(ctx context.Context, key string, options ...SetOption) ([]byte, error) {
	r, err := getEx(key, options)
	if err != nil {
		return nil, err
	}
	return c.bytes(ctx, &r)
}

// getEx is the request of GetEx. Where nothing changes it is a GET, which may be repeated when its reply is
// lost.
func getEx(key string, options []SetOption) (request, error) {
	r := request{op: proto.OpGetEx, key: key}
	if len(options) == 0 {
		r.op = proto.OpGet
		return r, nil
	}
	for i := range options {
		isTime, err := r.applyTime(&options[i])
		switch {
		case err != nil:
			return r, err
		case options[i].kind == setWithoutExpiry:
			r.options = proto.GetExPersist
		case !isTime:
			return r, invalid(&r, "GetEx takes the options WithTTL, WithExpiry and WithoutExpiry only")
		}
	}
	if r.options != 0 && r.flags&proto.FlagExpiry != 0 {
		return r, invalid(&r, "WithoutExpiry excludes WithTTL and WithExpiry")
	}
	return r, nil
}

// Append adds to the end of a value and returns the new length. A missing key counts as an empty value, the
// expiry stays. The server copies the whole value: appending to a large one costs its length.
func (c *Client) Append(ctx context.Context, key string, value []byte) (int, error) {
	return c.count(ctx, &request{op: proto.OpAppend, key: key, value: value})
}

// GetRange returns the bytes of a value from start to end, both included, or ErrNotFound. Negative positions
// count from the value's end: -1 is its last byte. One in front of the value counts as its first byte; what lies
// behind the value is left out.
func (c *Client) GetRange(ctx context.Context, key string, start, end int64) ([]byte, error) {
	return c.bytes(ctx, &request{op: proto.OpGetRange, key: key, delta: start, end: end})
}

// SetRange writes over a part of a value, from offset on, and returns the length of the whole. A missing key
// counts as an empty value; a gap in front of offset is filled with zeros; the expiry stays. An empty value
// changes nothing.
func (c *Client) SetRange(ctx context.Context, key string, offset int64, value []byte) (int, error) {
	r := request{op: proto.OpSetRange, key: key, value: value, delta: offset}
	if offset < 0 || offset > math.MaxUint32 {
		return 0, invalid(&r, "an offset must be from 0 to %d, got %d", uint32(math.MaxUint32), offset)
	}
	return c.count(ctx, &r)
}

// IncrFloat adds delta, which may be negative, to the decimal number in a key, and returns the result. A
// missing key counts as 0, the expiry stays. It fails with ErrNotNumber or ErrOverflow. The server adds in
// decimal text with up to 17 digits behind the point; use IncrDecimal to see all of them.
func (c *Client) IncrFloat(ctx context.Context, key string, delta float64) (float64, error) {
	r, err := incrFloat(key, delta)
	if err != nil {
		return 0, err
	}
	text, err := c.bytes(ctx, &r)
	if err != nil {
		return 0, err
	}
	return parseFloat(&r, text)
}

// IncrDecimal is IncrFloat without float64: delta and result are decimal text, such as "0.1" or "-2.5e3". The
// result has no exponent. A delta that is no number is ErrNotNumber.
func (c *Client) IncrDecimal(ctx context.Context, key, delta string) (string, error) {
	text, err := c.bytes(ctx, &request{op: proto.OpIncrFloat, key: key, value: []byte(delta)})
	return string(text), err
}

// incrFloat is the request of IncrFloat.
func incrFloat(key string, delta float64) (request, error) {
	r := request{op: proto.OpIncrFloat, key: key, value: strconv.AppendFloat(nil, delta, 'g', -1, 64)}
	if math.IsNaN(delta) || math.IsInf(delta, 0) {
		return r, invalid(&r, "an increment must be a finite number, got %v", delta)
	}
	return r, nil
}

// parseFloat reads the reply to INCRFLOAT. The store calculates with more digits and a larger range.
func parseFloat(r *request, text []byte) (float64, error) {
	f, err := strconv.ParseFloat(string(text), 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, localError(r, fmt.Errorf("the result was stored, but a float64 can't hold its %d digits; use IncrDecimal: %w",
			len(text), strconv.ErrRange), false)
	case err != nil:
		return 0, localError(r, fmt.Errorf("reading the result: %w", err), true)
	}
	return f, nil
}
