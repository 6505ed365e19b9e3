package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// Batch collects requests and sends them in one go over one connection: an explicit pipeline. Its methods
// queue; Do sends. Requests on the same key take effect in the order queued; the batch as a whole is not
// atomic. A Batch belongs to one goroutine at a time.
type Batch struct {
	client   *Client
	requests []request
	failed   []error // per request: what made it impossible to queue
}

// Result is the outcome of one request of a batch.
type Result struct {
	Value []byte  // Get, GetDel, GetEx: the value
	Int   int64   // Incr: the result; Append: the length
	Float float64 // IncrFloat: the result
	Err   error   // as the method of Client with the same name returns it
}

// batchWindow bounds the requests that Do has under way, so that a huge batch doesn't take every id.
const batchWindow = 4096

// Batch returns an empty batch.
func (c *Client) Batch() *Batch { return &Batch{client: c} }

// Len returns the number of requests queued.
func (b *Batch) Len() int { return len(b.requests) }

func (b *Batch) add(r request, err error) {
	r.flags |= b.client.level
	b.requests = append(b.requests, r)
	b.failed = append(b.failed, err)
}

// Get queues a Get; the value will be in Result.Value.
func (b *Batch) Get(key string) { b.add(request{op: proto.OpGet, key: key}, nil) }

// Set queues a Set. The value must not change before Do returns.
func (b *Batch) Set(key string, value []byte, options ...SetOption) {
	r := request{op: proto.OpSet, key: key, value: value}
	err := r.apply(options)
	b.add(r, err)
}

// Delete queues a Delete.
func (b *Batch) Delete(key string) { b.add(request{op: proto.OpDelete, key: key}, nil) }

// Incr queues an Incr; the number will be in Result.Int.
func (b *Batch) Incr(key string, delta int64) {
	b.add(request{op: proto.OpIncr, key: key, delta: delta}, nil)
}

// IncrFloat queues an IncrFloat; the number will be in Result.Float.
func (b *Batch) IncrFloat(key string, delta float64) { b.add(incrFloat(key, delta)) }

// Append queues an Append; the length will be in Result.Int. The value must not change before Do returns.
func (b *Batch) Append(key string, value []byte) {
	b.add(request{op: proto.OpAppend, key: key, value: value}, nil)
}

// GetDel queues a GetDel; the value will be in Result.Value.
func (b *Batch) GetDel(key string) { b.add(request{op: proto.OpGetDel, key: key}, nil) }

// GetEx queues a GetEx; the value will be in Result.Value.
func (b *Batch) GetEx(key string, options ...SetOption) { b.add(getEx(key, options)) }

// Expire queues an Expire.
func (b *Batch) Expire(key string, ttl time.Duration, conditions ...ExpireCondition) {
	b.add(expireAfter(key, ttl, conditions))
}

// Do sends everything queued and returns the results in the order queued. The batch is empty afterwards.
// Each result has its own error; the error that Do returns is the first one that is not an answer of the
// server to a single request: a broken connection, an ended context. Nothing is repeated, for a later
// request on the same key may have been carried out.
func (b *Batch) Do(ctx context.Context) ([]Result, error) {
	results := make([]Result, len(b.requests))
	if len(results) == 0 {
		return results, nil
	}
	cn, err := b.client.slotOf(b.requests[0].firstKey()).get(ctx)
	for from := 0; from < len(results); from += batchWindow {
		to := min(from+batchWindow, len(results))
		if err != nil { // nothing further can be sent
			b.refuse(from, to, results, err)
			continue
		}
		err = b.window(ctx, cn, from, to, results)
	}
	count := len(results)
	clear(b.requests)
	b.requests, b.failed = b.requests[:0], b.failed[:0]
	if err != nil {
		return results, fmt.Errorf("nitrokv: batch of %d requests: %w", count, err)
	}
	return results, nil
}

// refuse gives the requests from … to the reason why they were not sent.
func (b *Batch) refuse(from, to int, results []Result, cause error) {
	for i := from; i < to; i++ {
		results[i].Err = b.failed[i]
		if results[i].Err == nil {
			results[i].Err = localError(&b.requests[i], rootCause(cause), false)
		}
	}
}

// rootCause takes the request out of an error that will be given to another one.
func rootCause(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// window sends a part of the batch and collects its replies. It returns the first failure of the
// connection or the context.
func (b *Batch) window(ctx context.Context, cn *conn, from, to int, results []Result) error {
	calls := make([]*call, to-from)
	var first error
	for i := range calls {
		r, res := &b.requests[from+i], &results[from+i]
		if res.Err = b.failed[from+i]; res.Err != nil {
			continue
		}
		if first != nil {
			res.Err = localError(r, rootCause(first), false)
			continue
		}
		ca := newCall(nil)
		if res.Err = cn.send(ctx, r, ca); res.Err == nil {
			calls[i] = ca
			continue
		}
		ca.free()
		first = b.sendFailed(r, res)
	}
	for i, ca := range calls {
		if ca == nil {
			continue
		}
		if err := cn.collect(ctx, &b.requests[from+i], ca, &results[from+i]); err != nil && first == nil {
			first = err
		}
		ca.free()
	}
	return first
}

// sendFailed completes the error of a request that could not be sent; the result is nil if it concerns this
// request only (a key that is too long).
func (b *Batch) sendFailed(r *request, res *Result) error {
	var lost *lostError
	if errors.As(res.Err, &lost) {
		res.Err = localError(r, lost, false)
		return res.Err
	}
	var e *Error
	if errors.As(res.Err, &e) && e.Err == nil {
		return nil
	}
	return res.Err
}

// collect waits for one reply. It returns an error that concerns more than this request.
func (cn *conn) collect(ctx context.Context, r *request, ca *call, res *Result) error {
	if err := cn.wait(ctx, ca); err != nil {
		res.Err = localError(r, err, true)
		return res.Err
	}
	if _, res.Err = ca.result(r); res.Err != nil {
		if ca.lost != nil {
			return res.Err
		}
		return nil
	}
	res.Err = res.fill(r, ca.body)
	if errors.Is(res.Err, strconv.ErrRange) {
		return nil // a number that is too large for its field; the connection is fine
	}
	return res.Err
}

// fill reads the body of an ok reply.
func (res *Result) fill(r *request, body []byte) error {
	var err error
	switch r.op {
	case proto.OpGet, proto.OpGetDel, proto.OpGetEx:
		res.Value = body
	case proto.OpIncr:
		res.Int, err = proto.ParseInt64(body)
	case proto.OpAppend:
		var n uint32
		n, err = proto.ParseUint32(body)
		res.Int = int64(n)
	case proto.OpIncrFloat:
		res.Float, err = parseFloat(r, body)
		return err
	}
	if err != nil {
		return localError(r, err, true)
	}
	return nil
}
