package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// small is a closed loop that takes no time.
func small(addr string, p Protocol) Config {
	return Config{
		Addr: addr, Protocol: p, Clients: 5, Pipeline: 4, Threads: 2, Keys: 103, ValueMin: 8, ValueMax: 100, ReadRatio: 0.5,
		Distribution: Uniform, Requests: 2000, Timeout: 10 * time.Second, Seed: 7,
	}
}

func protocols() map[string]bool { return map[string]bool{"resp": false, "binary": true} }

func protocolOf(binary bool) Protocol {
	if binary {
		return Binary
	}
	return RESP
}

// report runs a load that must come to a report.
func report(t *testing.T, c Config) *Report {
	t.Helper()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestsAreCountedExactly(t *testing.T) {
	for name, binary := range protocols() {
		t.Run(name, func(t *testing.T) {
			f := (&fake{binary: binary}).serve(t)
			c := small(f.addr, protocolOf(binary))
			c.Load = true
			r := report(t, c)
			if r.Requests != 2000 || r.Get.Requests+r.Set.Requests != 2000 || r.All.Requests != 2000 {
				t.Errorf("reported %d requests (%d get, %d set), asked for 2000", r.Requests, r.Get.Requests, r.Set.Requests)
			}
			if requests, keys := f.seen(); requests != 2103 || keys != 103 {
				t.Errorf("the server saw %d requests and has %d keys, want 103 + 2000 and 103", requests, keys)
			}
			if r.Misses != 0 || r.Errors != 0 || r.Get.Requests < 800 || r.Set.Requests < 800 {
				t.Errorf("misses %d, errors %d, get %d, set %d", r.Misses, r.Errors, r.Get.Requests, r.Set.Requests)
			}
			if r.All.P50 <= 0 || r.All.P50 > r.All.P99 || r.All.P99 > r.All.Max || r.OpsPerSecond <= 0 {
				t.Errorf("latencies out of order: %+v", r.All)
			}
		})
	}
}

func TestMissesAreCounted(t *testing.T) {
	f := (&fake{}).serve(t)
	c := small(f.addr, RESP)
	c.ReadRatio = 1
	r := report(t, c)
	if r.Misses != 2000 || r.Problem() != nil {
		t.Errorf("misses %d, problem %v; want 2000 and none", r.Misses, r.Problem())
	}
}

func TestVerifyAcceptsAnHonestServer(t *testing.T) {
	for name, binary := range protocols() {
		t.Run(name, func(t *testing.T) {
			f := (&fake{binary: binary}).serve(t)
			c := small(f.addr, protocolOf(binary))
			c.Verify = true
			c.ValueMax = 3 * frameSize
			c.Distribution, c.ZipfTheta = Zipfian, 0.9
			r := report(t, c)
			if r.Problem() != nil || r.Misses != 0 || !r.Verified {
				t.Errorf("problem %v, misses %d", r.Problem(), r.Misses)
			}
			if requests, _ := f.seen(); requests != 103+2000+103 {
				t.Errorf("the server saw %d requests, want every key loaded and read back", requests)
			}
		})
	}
}

// Each way to answer wrongly must be noticed, even once in two thousand.
func TestVerifyNoticesWrongReplies(t *testing.T) {
	const at = 500 // which GET is answered wrongly
	wrong := map[string]struct {
		want  string
		onGet func(n int, key string, value []byte, ok bool) ([]byte, bool)
	}{
		"a flipped bit": {"not those that were written", func(n int, _ string, v []byte, ok bool) ([]byte, bool) {
			if n == at {
				v = bytes.Clone(v)
				v[len(v)-1] ^= 1
			}
			return v, ok
		}},
		"a byte less": {"", func(n int, _ string, v []byte, ok bool) ([]byte, bool) {
			if n == at {
				v = v[:len(v)-1]
			}
			return v, ok
		}},
		"a miss": {"missing", func(n int, _ string, v []byte, ok bool) ([]byte, bool) {
			return v, ok && n != at
		}},
	}
	for name, w := range wrong {
		for protocol, binary := range protocols() {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				f := (&fake{binary: binary, onGet: w.onGet}).serve(t)
				c := small(f.addr, protocolOf(binary))
				c.Verify = true
				r := report(t, c)
				if r.Mismatches != 1 || !strings.Contains(r.FirstWrong, w.want) || r.Problem() == nil {
					t.Errorf("mismatches %d, first %q, problem %v; want 1 with %q", r.Mismatches, r.FirstWrong, r.Problem(), w.want)
				}
			})
		}
	}
}

// A write that is acknowledged and lost leaves an intact old value: only its version tells.
func TestVerifyNoticesLostWrite(t *testing.T) {
	f := &fake{}
	first := make(map[string][]byte) // what each key was loaded with
	f.onGet = func(_ int, key string, value []byte, ok bool) ([]byte, bool) {
		if key == "key:000000000042" {
			return first[key], ok
		}
		return value, ok
	}
	f.onSet = func(n int, key string) string {
		if old, ok := f.data[key]; ok && first[key] == nil {
			first[key] = old
		}
		return ""
	}
	f.serve(t)
	c := small(f.addr, RESP)
	c.Verify, c.ReadRatio, c.Requests = true, 0, 20000 // only the final pass reads
	r := report(t, c)
	if r.Mismatches != 1 || !strings.HasPrefix(r.FirstWrong, "key:000000000042: version 1 instead of ") {
		t.Errorf("mismatches %d, first %q", r.Mismatches, r.FirstWrong)
	}
}

func TestErrorRepliesAreCounted(t *testing.T) {
	for name, binary := range protocols() {
		t.Run(name, func(t *testing.T) {
			refuse := func(n int, _ string) string {
				if n > 103 && n%10 == 0 {
					return "OOM no memory"
				}
				return ""
			}
			f := (&fake{binary: binary, onSet: refuse}).serve(t)
			c := small(f.addr, protocolOf(binary))
			c.Load = true
			r := report(t, c)
			if r.Errors == 0 || r.FirstError != "OOM no memory" || r.Requests+r.Errors != 2000 || r.Problem() == nil {
				t.Errorf("errors %d, first %q, requests %d, problem %v", r.Errors, r.FirstError, r.Requests, r.Problem())
			}
		})
	}
}

// A stall of the server must be seen by every request that was due meanwhile, not only by those under way: 200 ms of
// one second are a fifth of the requests. A generator with coordinated omission would see it in 5 of 2000 requests,
// one per connection, which doesn't reach the 99th percentile.
func TestOpenLoopHasNoCoordinatedOmission(t *testing.T) {
	const stall = 200 * time.Millisecond
	f := (&fake{delay: func(n int) {
		if n == 1000 {
			<-time.After(stall) // every connection waits
		}
	}}).serve(t)
	c := small(f.addr, RESP)
	c.Requests, c.Rate, c.Pipeline = 2000, 2000, 1
	r := report(t, c)
	if r.Requests != 2000 || r.Unsent != 0 {
		t.Fatalf("requests %d, unsent %d; want 2000 and 0", r.Requests, r.Unsent)
	}
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	// 400 of 2000 requests were due during the stall, and each waited for what was left of it.
	if r.All.P90 < us(stall/4) || r.All.P99 < us(stall*8/10) || r.All.Max < us(stall*95/100) {
		t.Errorf("p90 %.0f µs, p99 %.0f µs, p99.9 %.0f µs, max %.0f µs: the stall of %v is hidden", r.All.P90, r.All.P99, r.All.P999, r.All.Max, stall)
	}
	if r.Seconds < 0.99 || r.Loop != "open" {
		t.Errorf("%d requests at %.0f/s took %.3f s", r.Requests, r.Rate, r.Seconds)
	}
}

// A server that can't keep up leaves requests unsent, and they count with the time that they waited.
func TestOpenLoopReportsWhatWasNeverSent(t *testing.T) {
	f := (&fake{delay: func(int) { <-time.After(5 * time.Millisecond) }}).serve(t) // 200/s at most
	c := small(f.addr, RESP)
	c.Requests, c.Duration, c.Rate, c.Pipeline = 0, 500*time.Millisecond, 4000, 1
	r := report(t, c)
	if r.Requests == 0 || r.Unsent < 1000 || r.Requests+r.Unsent != 2000 {
		t.Errorf("requests %d, unsent %d; want 2000 together, most of them unsent", r.Requests, r.Unsent)
	}
	if r.All.P50 < 1e6 { // they wait at least for the grace
		t.Errorf("p50 %.0f µs: requests that were never sent are forgotten", r.All.P50)
	}
}

func TestDurationAndWarmup(t *testing.T) {
	f := (&fake{}).serve(t)
	c := small(f.addr, RESP)
	c.Requests, c.Duration, c.Warmup = 0, 150*time.Millisecond, 100*time.Millisecond
	r := report(t, c)
	if r.Seconds < 0.15 || r.Seconds > 5 {
		t.Errorf("measured %.3f s, asked for 0.15", r.Seconds)
	}
	if requests, _ := f.seen(); int64(requests) <= r.Requests {
		t.Errorf("the server saw %d requests and %d were reported: the warm-up was counted or left out", requests, r.Requests)
	}
}

// An interrupt ends the measurement with a report on what was measured.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := (&fake{delay: func(n int) {
		if n == 5000 {
			cancel()
		}
	}}).serve(t)
	c := small(f.addr, RESP)
	c.Requests, c.Duration = 0, time.Hour
	r, err := Run(ctx, c)
	if err != nil || !r.Interrupted || r.Requests < 4000 {
		t.Fatalf("report %+v, error %v", r, err)
	}
	if _, err := Run(ctx, c); err == nil {
		t.Error("a run that ended before it began has a report")
	}
}

func TestFailuresNameTheConnectionAndTheCause(t *testing.T) {
	closed := (&fake{}).serve(t)
	closed.stop()
	hung := make(chan struct{})
	silent := (&fake{delay: func(int) { <-hung }}).serve(t)
	t.Cleanup(func() { close(hung) }) // runs before the server is stopped
	other := (&fake{binary: true}).serve(t)
	leaving := &fake{}
	leaving.delay = func(n int) {
		if n == 100 {
			for c := range leaving.conns {
				_ = c.Close()
			}
		}
	}
	leaving.serve(t)
	for name, test := range map[string]struct {
		f    *fake
		want string
	}{
		"nobody listens":   {closed, "refused"},
		"no reply":         {silent, "no reply for 300ms"},
		"another protocol": {other, "connection"},
		"closed by server": {leaving, "of 5 to " + leaving.addr},
	} {
		t.Run(name, func(t *testing.T) {
			c := small(test.f.addr, RESP)
			c.Timeout = 300 * time.Millisecond
			if r, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("report %v, error %v; want an error with %q", r, err, test.want)
			}
		})
	}
}

func TestRefusedLoadEndsTheRun(t *testing.T) {
	f := (&fake{onSet: func(n int, _ string) string { return "OOM full" }}).serve(t)
	c := small(f.addr, RESP)
	c.Load = true
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "load: 103 of 103 keys were refused") {
		t.Errorf("error %v", err)
	}
}

// The socket's buffers are far smaller than a pipeline of such values: writes go out piece by piece.
func TestLargeValues(t *testing.T) {
	for name, binary := range protocols() {
		t.Run(name, func(t *testing.T) {
			f := (&fake{binary: binary}).serve(t)
			c := small(f.addr, protocolOf(binary))
			c.Keys, c.ValueMin, c.ValueMax, c.Requests, c.Verify, c.Pipeline = 10, 1<<20, 2<<20, 60, true, 8
			if r := report(t, c); r.Problem() != nil || r.Requests != 60 {
				t.Errorf("problem %v, requests %d", r.Problem(), r.Requests)
			}
		})
	}
}

func TestReportFormats(t *testing.T) {
	f := (&fake{}).serve(t)
	var progress bytes.Buffer
	c := small(f.addr, RESP)
	c.Requests, c.Duration, c.Progress = 0, 1100*time.Millisecond, &progress
	r := report(t, c)
	var text bytes.Buffer
	if err := r.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || back["requests"] != float64(r.Requests) {
		t.Errorf("JSON %s: %v", text.Bytes(), err)
	}
	text.Reset()
	if err := r.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p99.99", "get ", "set ", "req/s", "misses", fmt.Sprint(r.Requests)} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, text.String())
		}
	}
	if line := progress.String(); !strings.HasPrefix(line, "measure ") || !strings.Contains(line, "req/s\n") {
		t.Errorf("progress %q", line)
	}
}

func TestValidate(t *testing.T) {
	good := small("127.0.0.1:1", RESP)
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Config){
		"--protocol":                     func(c *Config) { c.Protocol = "http" },
		"--clients":                      func(c *Config) { c.Clients = 0 },
		"--pipeline":                     func(c *Config) { c.Pipeline = 1 << 20 },
		"--threads":                      func(c *Config) { c.Threads = 6 },
		"--rate":                         func(c *Config) { c.Rate = -1 },
		"--keys":                         func(c *Config) { c.Keys = 0 },
		"--keys 4 with --verify":         func(c *Config) { c.Keys, c.Verify = 4, true },
		"--value-size":                   func(c *Config) { c.ValueMin = 101 },
		"--value-size 7 with --verify":   func(c *Config) { c.ValueMin, c.Verify = 7, true },
		"--read-ratio":                   func(c *Config) { c.ReadRatio = 1.5 },
		"--distribution":                 func(c *Config) { c.Distribution = "normal" },
		"--zipf-theta":                   func(c *Config) { c.Distribution, c.ZipfTheta = Zipfian, 1 },
		"--requests":                     func(c *Config) { c.Requests = -1 },
		"--duration":                     func(c *Config) { c.Requests = 0 },
		"--requests 2000 and --duration": func(c *Config) { c.Duration = time.Second },
		"--warmup":                       func(c *Config) { c.Warmup = -1 },
		"--timeout":                      func(c *Config) { c.Timeout = 0 },
		`--durability "often"`:           func(c *Config) { c.Durability = "often" },
		"--durability always with --pro": func(c *Config) { c.Durability = Always },
	} {
		c := good
		spoil(&c)
		if _, err := Run(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want one that begins with %q", err, want)
		}
	}
}
