package client

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// wantBytes compares what a call returned.
func wantBytes(t testing.TB, what string, got []byte, err error, want string) {
	t.Helper()
	if err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; want %q", what, got, err, want)
	}
}

func wantInt(t testing.TB, what string, got int, err error, want int) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: %d, %v; want %d", what, got, err, want)
	}
}

func wantBool(t testing.TB, what string, got bool, err error, want bool) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: %v, %v; want %v", what, got, err, want)
	}
}

// checkEdits runs what changes or reads a part of a value.
func checkEdits(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	n, err := c.Append(ctx, "text", []byte("Hello"))
	wantInt(t, "Append to nothing", n, err, 5)
	n, err = c.Append(ctx, "text", []byte(" World"))
	wantInt(t, "Append", n, err, 11)
	v, err := c.GetRange(ctx, "text", -5, -1)
	wantBytes(t, "GetRange", v, err, "World")
	v, err = c.GetRange(ctx, "text", 3, 1)
	wantBytes(t, "GetRange of nothing", v, err, "")
	_, err = c.GetRange(ctx, "nope", 0, -1)
	wantErr(t, err, ErrNotFound)
	n, err = c.SetRange(ctx, "text", 6, []byte("There"))
	wantInt(t, "SetRange", n, err, 11)
	for _, offset := range []int64{-1, math.MaxUint32 + 1} {
		_, err = c.SetRange(ctx, "text", offset, []byte("x"))
		wantErr(t, err, ErrInvalid)
	}
	v, err = c.GetEx(ctx, "text")
	wantBytes(t, "GetEx", v, err, "Hello There")
	at := time.UnixMilli(4102444800123)
	v, err = c.GetEx(ctx, "text", WithExpiry(at))
	wantBytes(t, "GetEx with an expiry", v, err, "Hello There")
	if got, expires, err := c.ExpireTime(ctx, "text"); err != nil || !expires || !got.Equal(at) {
		t.Errorf("ExpireTime: %v, %v, %v; want %v", got, expires, err, at)
	}
	v, err = c.GetEx(ctx, "text", WithoutExpiry())
	wantBytes(t, "GetEx without an expiry", v, err, "Hello There")
	if got, expires, err := c.ExpireTime(ctx, "text"); err != nil || expires || !got.IsZero() {
		t.Errorf("ExpireTime of a lasting key: %v, %v, %v", got, expires, err)
	}
	v, err = c.GetDel(ctx, "text")
	wantBytes(t, "GetDel", v, err, "Hello There")
	_, err = c.GetDel(ctx, "text")
	wantErr(t, err, ErrNotFound)
	_, _, err = c.ExpireTime(ctx, "text")
	wantErr(t, err, ErrNotFound)
	checkFloats(t, ctx, c)
}

func checkFloats(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	if f, err := c.IncrFloat(ctx, "f", 1.5); err != nil || f != 1.5 {
		t.Errorf("IncrFloat: %v, %v", f, err)
	}
	if text, err := c.IncrDecimal(ctx, "f", "-2.5e1"); err != nil || text != "-23.5" {
		t.Errorf("IncrDecimal: %q, %v", text, err)
	}
	_, err := c.IncrDecimal(ctx, "f", "much")
	wantErr(t, err, ErrNotNumber)
	for _, delta := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, err = c.IncrFloat(ctx, "f", delta)
		wantErr(t, err, ErrInvalid)
	}
}

func TestGetExRefusesOtherOptions(t *testing.T) {
	c, ctx := testClient(t, newFake(t).start(), nil), limited(t)
	for name, options := range map[string][]SetOption{
		"IfAbsent":                 {IfAbsent()},
		"KeepTTL":                  {KeepTTL()},
		"a time and no expiry":     {WithTTL(time.Hour), WithoutExpiry()},
		"no expiry and a time":     {WithoutExpiry(), WithExpiry(time.Now())},
		"a time that is not ahead": {WithTTL(0)},
	} {
		if _, err := c.GetEx(ctx, "k", options...); !errors.Is(err, ErrInvalid) {
			t.Errorf("GetEx with %s: %v", name, err)
		}
	}
	for name, options := range map[string][]SetOption{
		"a time":  {WithTTL(time.Hour), WithoutExpiry()},
		"KeepTTL": {KeepTTL(), WithoutExpiry()},
	} {
		wantErr(t, c.Set(ctx, "k", nil, options...), ErrInvalid)
		if err := c.Set(ctx, "k", nil, WithoutExpiry()); err != nil {
			t.Errorf("Set without expiry, after %s: %v", name, err)
		}
	}
	if err := c.MSet(ctx, []KV{{Key: "k"}}, WithoutExpiry()); !errors.Is(err, ErrInvalid) {
		t.Errorf("MSet without expiry: %v", err)
	}
}

// checkConditions runs the expiries that depend on the one before.
func checkConditions(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	must(t, c.Set(ctx, "c", []byte("v")))
	early, late := time.UnixMilli(4102444800000), time.UnixMilli(4133980800000)
	for _, step := range []struct {
		at         time.Time
		conditions []ExpireCondition
		want       error
	}{
		{early, []ExpireCondition{ExpireIfSet}, ErrNotStored},
		{early, []ExpireCondition{ExpireIfLater}, ErrNotStored},
		{early, []ExpireCondition{ExpireIfNone}, nil},
		{late, []ExpireCondition{ExpireIfNone}, ErrNotStored},
		{late, []ExpireCondition{ExpireIfSooner}, ErrNotStored},
		{late, []ExpireCondition{ExpireIfSet, ExpireIfLater}, nil},
		{early, []ExpireCondition{ExpireIfSet | ExpireIfSooner}, nil},
		{late, []ExpireCondition{ExpireIfNone, ExpireIfSet}, ErrInvalid},
		{late, []ExpireCondition{ExpireIfLater, ExpireIfSooner}, ErrInvalid},
		{late, []ExpireCondition{1 << 7}, ErrInvalid},
	} {
		if err := c.ExpireAt(ctx, "c", step.at, step.conditions...); !errors.Is(err, step.want) {
			t.Errorf("ExpireAt %v on %v: %v, want %v", step.at, step.conditions, err, step.want)
		}
	}
	if at, _, err := c.ExpireTime(ctx, "c"); err != nil || !at.Equal(early) {
		t.Errorf("in the end the key expires at %v, %v", at, err)
	}
	must(t, c.Expire(ctx, "c", time.Hour, ExpireIfSooner))
	wantErr(t, c.Expire(ctx, "c", 2*time.Hour, ExpireIfSooner), ErrNotStored)
	wantErr(t, c.Expire(ctx, "nope", time.Hour, ExpireIfNone), ErrNotFound)
}

// checkNames runs what gives names, and MSetNX.
func checkNames(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	pairs := []KV{{Key: "n1", Value: []byte("1")}, {Key: "n2", Value: []byte("2")}}
	ok, err := c.MSetNX(ctx, pairs, WithTTL(time.Hour))
	wantBool(t, "MSetNX", ok, err, true)
	ok, err = c.MSetNX(ctx, []KV{{Key: "n2"}, {Key: "n3"}})
	wantBool(t, "MSetNX of a key that is there", ok, err, false)
	ok, err = c.MSetNX(ctx, nil)
	wantBool(t, "MSetNX of nothing", ok, err, true)
	_, err = c.MSetNX(ctx, pairs, IfPresent())
	wantErr(t, err, ErrInvalid)
	must(t, c.Rename(ctx, "n1", "n3"))
	wantErr(t, c.Rename(ctx, "n1", "n3"), ErrNotFound)
	ok, err = c.RenameNX(ctx, "n3", "n2")
	wantBool(t, "RenameNX onto a key", ok, err, false)
	ok, err = c.RenameNX(ctx, "n3", "n1")
	wantBool(t, "RenameNX", ok, err, true)
	_, err = c.RenameNX(ctx, "n3", "n4")
	wantErr(t, err, ErrNotFound)
	ok, err = c.Copy(ctx, "n1", "n2", false)
	wantBool(t, "Copy onto a key", ok, err, false)
	ok, err = c.Copy(ctx, "n1", "n2", true)
	wantBool(t, "Copy that replaces", ok, err, true)
	_, err = c.Copy(ctx, "nope", "n2", true)
	wantErr(t, err, ErrNotFound)
	_, err = c.Copy(ctx, "n1", "n1", true)
	wantErr(t, err, ErrInvalid)
	wantErr(t, c.Rename(ctx, "n1", strings.Repeat("k", 1<<16)), ErrTooLarge)
	v, err := c.Get(ctx, "n2")
	wantBytes(t, "the copy", v, err, "1")
	if key, err := c.RandomKey(ctx); err != nil || key == "" {
		t.Errorf("RandomKey: %q, %v", key, err)
	}
	must(t, c.Flush(ctx))
	_, err = c.RandomKey(ctx)
	wantErr(t, err, ErrNotFound)
}

func TestBatchOfEdits(t *testing.T) {
	c, ctx := testClient(t, newFake(t).start(), nil), limited(t)
	b := c.Batch()
	b.Append("a", []byte("abc"))
	b.GetEx("a", WithTTL(time.Hour))
	b.GetEx("a", IfAbsent())
	b.Expire("a", 2*time.Hour, ExpireIfLater)
	b.Expire("a", time.Hour, ExpireIfNone)
	b.IncrFloat("f", 0.5)
	b.IncrFloat("f", math.NaN())
	b.GetDel("a")
	b.GetDel("a")
	res, err := b.Do(ctx)
	must(t, err)
	for i, want := range []error{nil, nil, ErrInvalid, nil, ErrNotStored, nil, ErrInvalid, nil, ErrNotFound} {
		if !errors.Is(res[i].Err, want) {
			t.Errorf("result %d: %v, want %v", i, res[i].Err, want)
		}
	}
	if res[0].Int != 3 || string(res[1].Value) != "abc" || res[5].Float != 0.5 || string(res[7].Value) != "abc" {
		t.Errorf("results: %+v", res)
	}
}

// A number with more digits than a float64 holds is stored, and fails only the call that asked for a float64.
func TestFloatBeyondFloat64(t *testing.T) {
	huge := "1" + strings.Repeat("0", 400)
	s := newFake(t)
	s.hook = func(c *fakeConn, m *proto.Message) bool {
		if m.Op() == proto.OpIncrFloat {
			c.send(proto.AppendReply(nil, proto.Meta{ID: m.ID}, proto.OK, huge))
			return true
		}
		return false
	}
	c, ctx := testClient(t, s.start(), nil), limited(t)
	_, err := c.IncrFloat(ctx, "f", 1)
	if !errors.Is(err, strconv.ErrRange) || errors.Is(err, ErrOutcomeUnknown) || !strings.Contains(err.Error(), "was stored") {
		t.Errorf("IncrFloat: %v", err)
	}
	if text, err := c.IncrDecimal(ctx, "f", "1"); err != nil || text != huge {
		t.Errorf("IncrDecimal: %q, %v", text, err)
	}
	b := c.Batch()
	b.IncrFloat("f", 1)
	b.Set("after", nil)
	res, err := b.Do(ctx)
	if err != nil || !errors.Is(res[0].Err, strconv.ErrRange) || res[1].Err != nil {
		t.Errorf("batch: %+v, %v", res, err)
	}
}

// A key may expire later than a Duration reaches.
func TestTTLBeyondADuration(t *testing.T) {
	c, ctx := testClient(t, newFake(t).start(), nil), limited(t)
	must(t, c.Set(ctx, "k", nil, WithExpiry(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))))
	if ttl, err := c.TTL(ctx, "k"); err != nil || ttl != math.MaxInt64 {
		t.Errorf("TTL: %v, %v", ttl, err)
	}
}

// Of the calls whose reply is lost, those that change nothing are repeated, the others have an unknown outcome.
func TestLostReplies(t *testing.T) {
	at := time.UnixMilli(4102444800000)
	for name, test := range map[string]struct {
		read bool
		call func(ctx context.Context, c *Client) error
	}{
		"GetRange":   {true, func(ctx context.Context, c *Client) error { _, err := c.GetRange(ctx, "k", 0, 0); return err }},
		"ExpireTime": {true, func(ctx context.Context, c *Client) error { _, _, err := c.ExpireTime(ctx, "k"); return err }},
		"GetEx":      {true, func(ctx context.Context, c *Client) error { _, err := c.GetEx(ctx, "k"); return err }},
		"GetEx that changes": {false, func(ctx context.Context, c *Client) error {
			_, err := c.GetEx(ctx, "k", WithoutExpiry())
			return err
		}},
		"GetDel":    {false, func(ctx context.Context, c *Client) error { _, err := c.GetDel(ctx, "k"); return err }},
		"Append":    {false, func(ctx context.Context, c *Client) error { _, err := c.Append(ctx, "k", nil); return err }},
		"SetRange":  {false, func(ctx context.Context, c *Client) error { _, err := c.SetRange(ctx, "k", 0, nil); return err }},
		"IncrFloat": {false, func(ctx context.Context, c *Client) error { _, err := c.IncrFloat(ctx, "k", 1); return err }},
		"ExpireAt":  {false, func(ctx context.Context, c *Client) error { return c.ExpireAt(ctx, "k", at, ExpireIfNone) }},
		"Rename":    {false, func(ctx context.Context, c *Client) error { return c.Rename(ctx, "k", "l") }},
		"RenameNX":  {false, func(ctx context.Context, c *Client) error { _, err := c.RenameNX(ctx, "k", "l"); return err }},
		"Copy":      {false, func(ctx context.Context, c *Client) error { _, err := c.Copy(ctx, "k", "l", true); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			s, seen := failing(t, func(c *fakeConn, m *proto.Message, n int64) bool {
				if n == 1 {
					dropInReply(c, m)
				}
				return n == 1
			})
			c, ctx := testClient(t, s, nil), limited(t)
			err := test.call(ctx, c)
			if unknown := errors.Is(err, ErrOutcomeUnknown); unknown == test.read || test.read != (err == nil) {
				t.Errorf("%v, outcome unknown: %v", err, unknown)
			}
			if want := map[bool]int64{true: 2, false: 1}[test.read]; seen.Load() != want {
				t.Errorf("sent %d times, want %d", seen.Load(), want)
			}
		})
	}
}
