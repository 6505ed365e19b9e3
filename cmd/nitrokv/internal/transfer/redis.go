package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

const (
	scanCount  = 512     // keys that a page of SCAN is asked for
	groupKeys  = 64      // values that are asked for in one go …
	groupBytes = 4 << 20 // … and their bytes; a larger value is asked for alone
)

// Redis is a Source that copies the strings of a live Redis server.
//
// Keys come from SCAN, in pages. A page is asked for the length of each value first, so that neither side ever holds
// much more than groupBytes of replies; that also finds the keys that are no strings, which are counted by type. Then
// value and time to live of a group of keys are read in one transaction, or they might not belong together: a key that
// is written between the two would be copied with the old value and the new time, which it never had.
//
// It is no snapshot. A key that is there from beginning to end is copied, as it is at some moment in between; one that
// comes, goes or changes meanwhile may be copied or not, as SCAN has it. A key may be copied twice.
type Redis struct {
	addr    string
	conn    *resp.Conn
	info    string // the server's own description
	seen    atomic.Int64
	total   int64
	leftOut map[string]int64 // keys that are no strings, by type
	gone    int64            // keys that SCAN has named and that were not there any more
}

// OpenRedis connects to the server. The caller closes what it returns.
func OpenRedis(ctx context.Context, u RedisURL, password string, timeout time.Duration) (*Redis, error) {
	c, err := resp.Dial(ctx, u.Addr, resp.Options{User: u.User, Password: password, Timeout: timeout})
	if err != nil {
		return nil, err
	}
	r := &Redis{addr: u.Addr, conn: c, leftOut: make(map[string]int64)}
	if err := r.begin(ctx, u.DB); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return r, nil
}

// begin chooses the database and asks what server this is.
func (r *Redis) begin(ctx context.Context, db int) error {
	if db != 0 {
		if _, err := r.do(ctx, resp.Status, "SELECT", strconv.Itoa(db)); err != nil {
			return err
		}
	}
	size, err := r.do(ctx, resp.Int, "DBSIZE")
	if err != nil {
		return err
	}
	r.total = size.Int
	// An account may be denied INFO; then this is surely not a NitroKV server, which is what the answer is for.
	info, err := r.conn.Do(ctx, "INFO", "server")
	r.info = info.Text
	return err
}

// RunID returns the id that a NitroKV server gives itself at each start, and "" for other servers.
func (r *Redis) RunID() string {
	if infoField(r.info, "nitrokv_version") == "" {
		return ""
	}
	return infoField(r.info, "run_id")
}

// infoField finds a line of INFO.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Close ends the connection.
func (r *Redis) Close() error { return r.conn.Close() }

// LeftOut returns how many keys were not copied because they are no strings, by type. Call it after the load.
func (r *Redis) LeftOut() map[string]int64 { return r.leftOut }

// Gone returns how many keys had gone by the time that they were to be copied. Call it after the load.
func (r *Redis) Gone() int64 { return r.gone }

// Place implements Source.
func (r *Redis) Place(e *Entry) string { return "redis://" + r.addr + ": key " + excerpt(e.Key) }

// Progress implements Source; the unit is keys.
func (r *Redis) Progress() (done, total int64) { return min(r.seen.Load(), r.total), r.total }

// Entries implements Source.
func (r *Redis) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := r.scan(ctx, yield)
		if err != nil && err != errEnough && ctx.Err() == nil {
			yield(Entry{}, err)
		}
	}
}

// errEnough says that the loop over the entries was left.
var errEnough = errors.New("no more entries are wanted")

// scan walks all pages.
func (r *Redis) scan(ctx context.Context, yield func(Entry, error) bool) error {
	for cursor := "0"; ; {
		page, err := r.do(ctx, resp.Array, "SCAN", cursor, "COUNT", strconv.Itoa(scanCount))
		if err != nil {
			return err
		}
		if len(page.Elems) != 2 || page.Elems[1].Kind != resp.Array {
			return r.strange("SCAN")
		}
		keys := make([]string, len(page.Elems[1].Elems))
		for i, k := range page.Elems[1].Elems {
			keys[i] = k.Text
		}
		if err := r.page(ctx, keys, yield); err != nil {
			return err
		}
		r.seen.Add(int64(len(keys)))
		if cursor = page.Elems[0].Text; cursor == "0" {
			return nil
		}
	}
}

// page copies the keys of a page, a group at a time.
func (r *Redis) page(ctx context.Context, keys []string, yield func(Entry, error) bool) error {
	lengths, err := r.pipeline(ctx, "STRLEN", keys)
	if err != nil {
		return err
	}
	var group, others []string
	var bytes int64
	for i, length := range lengths {
		if length.Kind != resp.Int {
			others = append(others, keys[i])
			continue
		}
		if len(group) == groupKeys || len(group) > 0 && bytes+length.Int > groupBytes {
			if err := r.copy(ctx, group, yield); err != nil {
				return err
			}
			group, bytes = group[:0], 0
		}
		group, bytes = append(group, keys[i]), bytes+length.Int
	}
	if err := r.copy(ctx, group, yield); err != nil {
		return err
	}
	return r.countTypes(ctx, others)
}

// pipeline sends one command for each key and returns the replies, of which some may be errors about the key's type.
func (r *Redis) pipeline(ctx context.Context, verb string, keys []string) ([]resp.Value, error) {
	for _, key := range keys {
		r.conn.Send(verb, key)
	}
	if err := r.conn.Flush(ctx); err != nil {
		return nil, err
	}
	replies := make([]resp.Value, len(keys))
	for i := range replies {
		v, err := r.receive(ctx, verb)
		if err != nil {
			return nil, err
		}
		replies[i] = v
	}
	return replies, nil
}

// countTypes finds out what the keys are that are no strings.
func (r *Redis) countTypes(ctx context.Context, keys []string) error {
	types, err := r.pipeline(ctx, "TYPE", keys)
	if err != nil {
		return err
	}
	for _, t := range types {
		if t.Text == "none" {
			r.gone++
		} else {
			r.leftOut[t.Text]++
		}
	}
	return nil
}

// copy reads a group of keys in one transaction and yields what is there.
func (r *Redis) copy(ctx context.Context, keys []string, yield func(Entry, error) bool) error {
	if len(keys) == 0 {
		return nil
	}
	asked := time.Now() // a moment too early, so that no key lives longer than its original
	values, err := r.transaction(ctx, keys)
	if err != nil {
		return err
	}
	var others []string
	for i, key := range keys {
		value, ttl := values[2*i], values[2*i+1]
		switch {
		case value.Kind == resp.Error: // it has become something else since the page was looked at
			others = append(others, key)
		case value.Kind == resp.Null:
			r.gone++
		case value.Kind != resp.Bulk || ttl.Kind != resp.Int:
			return r.strange("GET and PTTL")
		case !yield(Entry{Key: key, Value: []byte(value.Text), Expires: expiry(asked, ttl.Int)}, nil):
			return errEnough
		}
	}
	return r.countTypes(ctx, others)
}

// transaction returns the replies to GET and PTTL of each key in turns.
func (r *Redis) transaction(ctx context.Context, keys []string) ([]resp.Value, error) {
	r.conn.Send("MULTI")
	for _, key := range keys {
		r.conn.Send("GET", key)
		r.conn.Send("PTTL", key)
	}
	r.conn.Send("EXEC")
	if err := r.conn.Flush(ctx); err != nil {
		return nil, err
	}
	refused := ""
	for range 2*len(keys) + 1 {
		v, err := r.conn.Receive(ctx)
		if err != nil {
			return nil, err
		}
		if v.Kind == resp.Error && refused == "" {
			refused = v.Text
		}
	}
	done, err := r.conn.Receive(ctx)
	switch {
	case err != nil:
		return nil, err
	case refused != "":
		return nil, fmt.Errorf("%s refuses to read values with MULTI, GET, PTTL and EXEC: %s", r.addr, refused)
	case done.Kind != resp.Array || len(done.Elems) != 2*len(keys):
		return nil, r.strange("EXEC")
	}
	return done.Elems, nil
}

// expiry makes a time of a time to live as PTTL tells it, counted by this machine's clock.
func expiry(asked time.Time, ttl int64) time.Time {
	if ttl < 0 {
		return time.Time{}
	}
	return time.UnixMilli(asked.UnixMilli() + ttl)
}

// do sends a command whose reply must be of a certain kind.
func (r *Redis) do(ctx context.Context, kind byte, args ...string) (resp.Value, error) {
	v, err := r.conn.Do(ctx, args...)
	switch {
	case err != nil:
		return v, err
	case v.Kind == resp.Error:
		return v, fmt.Errorf("%s refuses %s: %s", r.addr, args[0], r.hint(v.Text))
	case v.Kind != kind:
		return v, r.strange(args[0])
	}
	return v, nil
}

// receive returns the next reply of a pipeline. An error reply passes only if it is about the type of a key.
func (r *Redis) receive(ctx context.Context, verb string) (resp.Value, error) {
	v, err := r.conn.Receive(ctx)
	if err == nil && v.Kind == resp.Error && !strings.HasPrefix(v.Text, "WRONGTYPE") {
		err = fmt.Errorf("%s refuses %s: %s", r.addr, verb, v.Text)
	}
	return v, err
}

// hint says how to give a password to a server that wants one.
func (r *Redis) hint(text string) string {
	if strings.HasPrefix(text, "NOAUTH") {
		text += "; put its password into a file named by --source-password-file or into NITROKV_SOURCE_PASSWORD"
	}
	return text
}

func (r *Redis) strange(verb string) error {
	return fmt.Errorf("the reply of %s to %s is not what Redis answers; see what server this is", r.addr, verb)
}
