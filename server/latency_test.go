package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// LATENCY HISTOGRAM has Redis's shape, in both protocols.
func TestLatencyHistogram(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	c.check([]any{}, "LATENCY", "HISTOGRAM", "get")
	for range 3 {
		c.check(nil, "GET", "k")
	}
	c.check(status("OK"), "SET", "k", "v")
	list := c.do("LATENCY", "HISTOGRAM", "GET", "set", "nothing").([]any)
	if len(list) != 4 || list[0] != "get" || list[2] != "set" {
		t.Fatalf("%v", list)
	}
	get := list[1].([]any)
	if get[0] != "calls" || get[1] != int64(3) || get[2] != "histogram_usec" {
		t.Errorf("%v", get)
	}
	buckets := get[3].([]any)
	if n := len(buckets); n < 2 || n%2 != 0 || buckets[n-1] != int64(3) {
		t.Errorf("buckets %v", buckets)
	}
	for i := 2; i < len(buckets); i += 2 {
		if buckets[i].(int64) <= buckets[i-2].(int64) || buckets[i+1].(int64) <= buckets[i-1].(int64) {
			t.Errorf("buckets don't grow: %v", buckets)
		}
	}
	c.do("HELLO", "3")
	all := c.do("LATENCY", "HISTOGRAM").(respMap)
	var names []string
	for i := 0; i < len(all); i += 2 {
		names = append(names, all[i].(string))
		if inner := all[i+1].(respMap); inner[0] != "calls" {
			t.Errorf("%v", inner)
		}
	}
	if got := strings.Join(names, " "); got != "get hello latency set" {
		t.Errorf("all: %s", got)
	}
}

// The limits double from a microsecond on, and count what took no longer.
func TestLatencyBucketsReply(t *testing.T) {
	var l engine.Latency
	l.Add(200*time.Nanosecond, 2)
	l.Add(1500*time.Nanosecond, 1)
	l.Add(1600*time.Nanosecond, 1)
	l.Add(time.Millisecond, 3)
	l.Add(time.Minute, 1)
	h := l.Histogram()
	var r reply
	r.buckets(&h)
	want := "*8\r\n:1\r\n:2\r\n:2\r\n:4\r\n:1048\r\n:7\r\n:34359738\r\n:8\r\n"
	if string(r.b) != want {
		t.Errorf("%q, want %q", r.b, want)
	}
}

func TestLatencyOthers(t *testing.T) {
	c := dial(t, start(t, Options{}))
	c.check(int64(0), "LATENCY", "RESET")
	c.check(int64(0), "LATENCY", "RESET", "command")
	c.check([]any{}, "LATENCY", "LATEST")
	c.check([]any{}, "LATENCY", "HISTORY", "command")
	c.check(respError("ERR No samples available for event 'command'"), "LATENCY", "GRAPH", "command")
	c.check(respError("ERR unknown subcommand 'frob'. Try LATENCY HELP."), "LATENCY", "frob")
	c.check(respError("ERR wrong number of arguments for 'latency|history' command"), "LATENCY", "HISTORY")
	if text, ok := c.do("LATENCY", "DOCTOR").(string); !ok || !strings.Contains(text, "SLOWLOG GET") {
		t.Errorf("DOCTOR: %q", text)
	}
	if help := fmt.Sprint(c.do("LATENCY", "HELP")); !strings.Contains(help, "HISTOGRAM") {
		t.Errorf("HELP: %s", help)
	}
}

// INFO has what tools that watch Redis look for.
func TestInfoCommandStats(t *testing.T) {
	s := start(t, Options{Password: "p"})
	c := dial(t, s)
	c.do("GET", "k")
	c.check(status("OK"), "AUTH", "p")
	c.check(status("OK"), "SET", "k", "v")
	c.do("INCR", "k")
	c.do("INCR", "k")
	c.do("GET", "k")
	c.do("GET", "nothing")
	c.do("FROB")
	c.do("GET")
	stats := scrapeInfo(c, "commandstats")
	for name, want := range map[string]string{
		"cmdstat_get":  `^calls=3,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=1,failed_calls=1$`,
		"cmdstat_set":  `^calls=1,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=0,failed_calls=0$`,
		"cmdstat_incr": `^calls=2,.*,rejected_calls=0,failed_calls=2$`,
		"cmdstat_auth": `^calls=1,`,
	} {
		if !regexp.MustCompile(want).MatchString(stats[name]) {
			t.Errorf("%s:%s, want %s", name, stats[name], want)
		}
	}
	if _, found := stats["cmdstat_unknown"]; found {
		t.Error("there are statistics of a command that doesn't exist")
	}
	if got := scrapeInfo(c, "latencystats")["latency_percentiles_usec_get"]; !regexp.MustCompile(`^p50=\d+\.\d{3},p99=\d+\.\d{3},p99\.9=\d+\.\d{3}$`).MatchString(got) {
		t.Errorf("latencystats: %s", got)
	}
	errors := scrapeInfo(c, "errorstats")
	if errors["errorstat_ERR"] != "count=4" || errors["errorstat_NOAUTH"] != "count=1" {
		t.Errorf("errorstats: %v", errors)
	}
}

// A reply that was made in Go is counted by its code word, or by the status of its frame.
func TestReplyStatus(t *testing.T) {
	for text, want := range map[string]engine.Error{
		"":                                 0,
		"+OK\r\n":                          0,
		":1\r\n":                           0,
		"-ERR nonsense\r\n":                engine.ErrArgument,
		"-WRONGPASS no\r\n":                engine.ErrAuthFailed,
		"-LOADING wait\r\n":                engine.ErrLoading,
		"-NOPROTO no\r\n":                  engine.ErrArgument,
		"-\r\n":                            engine.ErrArgument,
		"\xF6\x10\x01\x00\x00\x00\x00\x00": engine.ErrNotFound,
		"\xF6\x00\x01\x00\x00\x00\x00\x00": 0,
	} {
		if got := replyStatus([]byte(text)); got != uint8(want) {
			t.Errorf("%q: %#02x, want %#02x", text, got, uint8(want))
		}
	}
	for code, want := range map[engine.Error]string{engine.ErrNoMemory: "OOM", engine.ErrMaxMemory: "OOM", engine.ErrLogFull: "MISCONF",
		engine.ErrReadOnly: "MISCONF", engine.ErrAuthRequired: "NOAUTH", engine.ErrNotNumber: "ERR"} {
		if got := errorWord(code); got != want {
			t.Errorf("%v: %s, want %s", code, got, want)
		}
	}
}
