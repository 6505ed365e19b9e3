package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestParseRedisURL(t *testing.T) {
	for in, want := range map[string]RedisURL{
		"redis://h":                    {"h:6379", "", 0},
		"redis://h/":                   {"h:6379", "", 0},
		"redis://h:7/3":                {"h:7", "", 3},
		"REDIS://me@h:7":               {"h:7", "me", 0},
		"redis://[::1]:7/15":           {"[::1]:7", "", 15},
		"redis://[::1]":                {"[::1]:6379", "", 0},
		"redis://a%40b@10.0.0.1:6380/": {"10.0.0.1:6380", "a@b", 0},
	} {
		if got, err := ParseRedisURL(in); err != nil || got != want || !IsRedisURL(in) {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"redis://:sekret@h":      "--source-password-file",
		"redis://me:sekret@h":    "NITROKV_SOURCE_PASSWORD",
		"rediss://h":             "TLS",
		"rediss://me:sekret@h":   "password",
		"redis://":               "no host",
		"redis:///3":             "no host",
		"redis://h/x":            "number of a database",
		"redis://h/-1":           "number of a database",
		"redis://h/1/2":          "number of a database",
		"redis://h?db=3":         "options",
		"redis://h:x":            "not a URL",
		"redis://me:sekret%zz@h": "not a URL",
	} {
		_, err := ParseRedisURL(in)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sekret") || !IsRedisURL(in) {
			t.Errorf("%s: %v; want an error with %q and no password", in, err, want)
		}
	}
	for _, file := range []string{"redis", "redis.tsv", "./redis://h", "-", "http://h"} {
		if IsRedisURL(file) {
			t.Errorf("%q is taken for a Redis server", file)
		}
	}
}

// fakeRedis answers what a copy asks. Its keys are strings, or of the type that kinds says.
type fakeRedis struct {
	before func(verb string, args []string) // called before each command; may change everything below

	strings map[string]string
	ttls    map[string]int64
	kinds   map[string]string
	info    string
	refuse  map[string]string // by verb: an error

	mu      sync.Mutex // held while a command runs
	pages   [][]string // of SCAN; nil: all keys in one
	queued  [][]string // of MULTI; nil: there is none
	largest int        // bytes of the largest EXEC
	gone    bool       // the connection is to be closed
}

// serve listens until the test ends.
func (f *fakeRedis) serve(t *testing.T) RedisURL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.connection(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return RedisURL{Addr: l.Addr().String()}
}

// connection ends when the client closes it, which every test does.
func (f *fakeRedis) connection(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		f.mu.Lock()
		reply := f.answer(args)
		gone := f.gone
		f.mu.Unlock()
		if gone {
			return
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

func readCommand(r *bufio.Reader) ([]string, error) {
	number := func(mark byte) (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line[0] != mark {
			return 0, errors.New("not a request")
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number('*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := number('$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

func (f *fakeRedis) answer(args []string) string {
	if f.before != nil {
		f.before(args[0], args[1:])
	}
	if text := f.refuse[args[0]]; text != "" {
		return "-" + text + "\r\n"
	}
	if f.queued != nil && args[0] != "EXEC" {
		f.queued = append(f.queued, args)
		return "+QUEUED\r\n"
	}
	switch args[0] {
	case "HELLO":
		return "%1\r\n+proto\r\n:3\r\n"
	case "SELECT":
		return "+OK\r\n"
	case "INFO":
		return bulk(f.info)
	case "DBSIZE":
		return fmt.Sprintf(":%d\r\n", len(f.strings)+len(f.kinds))
	case "SCAN":
		return f.scan(args[1])
	case "MULTI":
		f.queued = [][]string{}
		return "+OK\r\n"
	case "EXEC":
		return f.exec()
	}
	return f.key(args[0], args[1])
}

func (f *fakeRedis) scan(cursor string) string {
	if f.pages == nil {
		f.pages = [][]string{slices.Sorted(maps.Keys(f.strings))}
		f.pages[0] = append(f.pages[0], slices.Sorted(maps.Keys(f.kinds))...)
	}
	at, _ := strconv.Atoi(cursor)
	next := at + 1
	if next == len(f.pages) {
		next = 0
	}
	reply := "*2\r\n" + bulk(strconv.Itoa(next)) + fmt.Sprintf("*%d\r\n", len(f.pages[at]))
	for _, key := range f.pages[at] {
		reply += bulk(key)
	}
	return reply
}

func (f *fakeRedis) exec() string {
	reply := fmt.Sprintf("*%d\r\n", len(f.queued))
	for _, args := range f.queued {
		reply += f.key(args[0], args[1])
	}
	f.queued = nil
	f.largest = max(f.largest, len(reply))
	return reply
}

// key answers a command about one key.
func (f *fakeRedis) key(verb, key string) string {
	value, isString := f.strings[key]
	kind := f.kinds[key]
	switch {
	case verb == "TYPE" && kind != "":
		return "+" + kind + "\r\n"
	case verb == "TYPE" && isString:
		return "+string\r\n"
	case verb == "TYPE":
		return "+none\r\n"
	case verb == "PTTL" && kind == "" && !isString:
		return ":-2\r\n"
	case verb == "PTTL" && f.ttls[key] == 0:
		return ":-1\r\n"
	case verb == "PTTL":
		return fmt.Sprintf(":%d\r\n", f.ttls[key])
	case kind != "":
		return wrongType
	case verb == "STRLEN":
		return fmt.Sprintf(":%d\r\n", len(value))
	case !isString:
		return "_\r\n"
	}
	return bulk(value)
}

// copied loads from a fake server and returns what there is then.
func copied(t *testing.T, f *fakeRedis) (*Redis, map[string]Entry, error) {
	t.Helper()
	r, err := OpenRedis(t.Context(), f.serve(t), "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make(map[string]Entry)
	for e, err := range r.Entries(t.Context()) {
		if err != nil {
			return r, got, err
		}
		got[e.Key] = e
	}
	return r, got, nil
}

func TestRedis(t *testing.T) {
	f := &fakeRedis{
		strings: map[string]string{"a": "1", "": "empty key", "empty": "", "\x00\xff\r\n": "\r\n\x00"},
		ttls:    map[string]int64{"a": 5000},
		kinds:   map[string]string{"l": "list", "h1": "hash", "h2": "hash", "s": "stream"},
	}
	for i := range 1000 {
		f.strings[fmt.Sprint("key", i)] = strings.Repeat("v", i)
	}
	before := time.Now()
	r, got, err := copied(t, f)
	after := time.Now()
	if err != nil || len(got) != len(f.strings) {
		t.Fatalf("%d keys of %d, %v", len(got), len(f.strings), err)
	}
	for key, value := range f.strings {
		e := got[key]
		if string(e.Value) != value || e.Expires.IsZero() != (key != "a") {
			t.Errorf("%q: %+v, want %q", key, e, value)
		}
	}
	if at := got["a"].Expires.UnixMilli(); at < before.UnixMilli()+5000 || at > after.UnixMilli()+5000 {
		t.Errorf("a expires at %d, want 5 s after %v", at, before.UnixMilli())
	}
	if want := map[string]int64{"list": 1, "hash": 2, "stream": 1}; !maps.Equal(r.LeftOut(), want) || r.Gone() != 0 {
		t.Errorf("left out %v, gone %d; want %v", r.LeftOut(), r.Gone(), want)
	}
	if done, total := r.Progress(); done != total || total != 1008 {
		t.Errorf("progress %d of %d", done, total)
	}
	if e := (Entry{Key: "k"}); !strings.HasSuffix(r.Place(&e), `: key "k"`) {
		t.Errorf("place %s", r.Place(&e))
	}
}

// Keys that go, or become something else, between the questions are counted, not invented.
func TestRedisKeysThatChange(t *testing.T) {
	f := &fakeRedis{
		strings: map[string]string{"stays": "1", "goes": "2", "turns": "3", "ended": "4"},
		kinds:   map[string]string{"l": "list", "lost": "list"},
	}
	f.before = func(verb string, args []string) {
		switch {
		case verb == "MULTI": // after the lengths
			delete(f.strings, "goes")
			delete(f.strings, "turns")
			f.kinds["turns"] = "set"
		case verb == "TYPE" && args[0] == "lost":
			delete(f.kinds, "lost")
		}
	}
	r, got, err := copied(t, f)
	if err != nil || len(got) != 2 || string(got["stays"].Value) != "1" || string(got["ended"].Value) != "4" {
		t.Errorf("%v, %v", got, err)
	}
	if want := map[string]int64{"list": 1, "set": 1}; !maps.Equal(r.LeftOut(), want) || r.Gone() != 2 {
		t.Errorf("left out %v, gone %d; want %v and 2", r.LeftOut(), r.Gone(), want)
	}
}

// Another client sets the key anew between the questions for its value and its time, unless they are one transaction. Then
// the copy has both from before or both from after.
func TestRedisValueAndTimeBelongTogether(t *testing.T) {
	f := &fakeRedis{strings: map[string]string{"a": "stays"}, ttls: map[string]int64{}}
	f.before = func(verb string, _ []string) {
		if f.queued == nil && (verb == "GET" || verb == "PTTL" || verb == "MULTI") {
			if f.strings["a"] == "stays" {
				f.strings["a"], f.ttls["a"] = "expires", 5000
			} else {
				f.strings["a"], f.ttls["a"] = "stays", 0
			}
		}
	}
	_, got, err := copied(t, f)
	if e := got["a"]; err != nil || (string(e.Value) == "expires") == e.Expires.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
}

// A page of large values is asked for in small groups, so that the server doesn't have to hold all the replies.
func TestRedisGroups(t *testing.T) {
	f := &fakeRedis{strings: map[string]string{}}
	for i := range 20 {
		f.strings[fmt.Sprint("key", i)] = strings.Repeat("v", groupBytes/3)
	}
	f.strings["large"] = strings.Repeat("v", 2*groupBytes)
	_, got, err := copied(t, f)
	if err != nil || len(got) != 21 {
		t.Fatalf("%d keys, %v", len(got), err)
	}
	if f.largest > 2*groupBytes+1000 {
		t.Errorf("%d bytes in one reply", f.largest)
	}
}

func TestRedisPages(t *testing.T) {
	f := &fakeRedis{
		strings: map[string]string{"a": "1", "b": "2", "c": "3"},
		pages:   [][]string{{"a"}, {}, {"b", "a"}, {"c"}},
	}
	_, got, err := copied(t, f)
	if err != nil || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}
}

// What the server refuses is told in its words.
func TestRedisRefuses(t *testing.T) {
	for verb, text := range map[string]string{
		"SCAN": "NOPERM no scan", "STRLEN": "NOPERM no strlen", "MULTI": "ERR unknown command 'MULTI'", "EXEC": "EXECABORT no", "TYPE": "NOPERM no type",
	} {
		f := &fakeRedis{strings: map[string]string{"a": "1"}, kinds: map[string]string{"l": "list"}, refuse: map[string]string{verb: text}}
		if _, _, err := copied(t, f); err == nil || !strings.Contains(err.Error(), verb) || verb != "EXEC" && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v; want an error with %q", verb, err, text)
		}
	}
	for verb, text := range map[string]string{"DBSIZE": "NOAUTH Authentication required.", "SELECT": "ERR DB index is out of range"} {
		f := &fakeRedis{refuse: map[string]string{verb: text}}
		u := f.serve(t)
		u.DB = 3
		_, err := OpenRedis(t.Context(), u, "", time.Minute)
		if err == nil || !strings.Contains(err.Error(), text) || verb == "DBSIZE" && !strings.Contains(err.Error(), "--source-password-file") {
			t.Errorf("%s: %v; want an error with %q", verb, err, text)
		}
	}
}

// Only a NitroKV server has a run id that says something here, and an account that may not ask for it is no obstacle.
func TestRunID(t *testing.T) {
	for info, want := range map[string]string{
		"# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n":                         "",
		"# Server\r\nredis_version:7.2.4\r\nnitrokv_version:0.1.0\r\nrun_id:abc\r\n": "abc",
		"": "",
	} {
		f := &fakeRedis{info: info}
		if info == "" {
			f.refuse = map[string]string{"INFO": "NOPERM no info"}
		}
		r, err := OpenRedis(t.Context(), f.serve(t), "", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.RunID(); got != want {
			t.Errorf("%q: %q, want %q", info, got, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// When the context ends nothing more is yielded, no error either.
func TestRedisEndsWithTheContext(t *testing.T) {
	f := &fakeRedis{strings: map[string]string{"a": "1"}, pages: [][]string{{"a"}, {"a"}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := OpenRedis(ctx, f.serve(t), "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for _, err := range r.Entries(ctx) {
		if err != nil {
			t.Errorf("after the end of the context: %v", err)
		}
		n++
		cancel()
	}
	if n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

// A server that goes away in the middle is an error, after what it has sent.
func TestRedisGoesAway(t *testing.T) {
	f := &fakeRedis{strings: map[string]string{"a": "1"}, pages: [][]string{{"a"}, {"a"}}}
	f.before = func(verb string, args []string) {
		f.gone = f.gone || verb == "SCAN" && args[0] != "0"
	}
	_, got, err := copied(t, f)
	if err == nil || len(got) != 1 {
		t.Errorf("%v, %v; want one key and an error", got, err)
	}
}
