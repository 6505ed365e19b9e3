package load

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// workload is a closed loop of a workload over keys that it loads itself.
func workload(addr string, p Protocol, w Workload) Config {
	c := small(addr, p)
	c.Workload, c.Load, c.ReadRatio, c.Distribution = w, true, 0, ""
	c.ValueMin, c.ValueMax, c.Requests = RecordSize, RecordSize, 2000
	return c
}

// The shares of operations, the keys that there are at the end, and what was counted, over both protocols, closed and
// open.
func TestWorkloads(t *testing.T) {
	for w, m := range mixes {
		for name, binary := range protocols() {
			for _, rate := range []float64{0, 20000} {
				t.Run(fmt.Sprintf("%s over %s at %v", w, name, rate), func(t *testing.T) {
					f := (&fake{binary: binary}).serve(t)
					c := workload(f.addr, protocolOf(binary), w)
					c.Rate = rate
					r := report(t, c)
					if r.Requests != c.Requests || r.Misses > 0 || r.Problem() != nil || r.Unsent > 0 {
						t.Errorf("requests %d, misses %d, unsent %d, problem %v; want %d and none", r.Requests, r.Misses, r.Unsent, r.Problem(), c.Requests)
					}
					checkShares(t, r, m)
					checkSeen(t, f, &c, r)
				})
			}
		}
	}
}

// checkShares demands that the share of reads is right within six standard deviations.
func checkShares(t *testing.T, r *Report, m workloadMix) {
	t.Helper()
	n := float64(r.Requests)
	if off := math.Abs(float64(r.Get.Requests) - n*m.reads); off > 6*math.Sqrt(n*m.reads*(1-m.reads)) {
		t.Errorf("%d of %.0f operations were reads, want %.0f %%", r.Get.Requests, n, 100*m.reads)
	}
	switch rest := r.Requests - r.Get.Requests; {
	case m.other == opModify && (r.Modify == nil || r.Modify.Requests != rest || r.Set.Requests != 0):
		t.Errorf("rmw %+v, set %+v; want %d of rmw alone", r.Modify, r.Set, rest)
	case m.other == opSet && (r.Modify != nil || r.Set.Requests != rest):
		t.Errorf("rmw %+v, set %+v; want %d of set alone", r.Modify, r.Set, rest)
	}
	if r.All.Requests != r.Requests || r.All.P50 <= 0 || r.All.Max < r.Get.Max {
		t.Errorf("all %+v, get %+v", r.All, r.Get)
	}
}

// checkSeen compares the report with what the server has seen.
func checkSeen(t *testing.T, f *fake, c *Config, r *Report) {
	t.Helper()
	requests, keys := f.seen()
	want, wantKeys := c.Keys+r.Requests, c.Keys
	if r.Modify != nil {
		want += r.Modify.Requests // two requests each
	}
	if c.Workload.inserts() {
		wantKeys += r.Set.Requests
	}
	if int64(requests) != want || int64(keys) != wantKeys {
		t.Errorf("the server has seen %d requests and has %d keys, want %d and %d", requests, keys, want, wantKeys)
	}
	for key, value := range f.stored() {
		if !strings.HasPrefix(key, "user") || len(key) != keySize || len(value) != RecordSize {
			t.Fatalf("key %q with %d bytes", key, len(value))
		}
	}
}

// A read-modify-write leaves the record as it was but for one field of 100 bytes.
func TestModifyChangesOneField(t *testing.T) {
	for name, binary := range protocols() {
		t.Run(name, func(t *testing.T) {
			f := &fake{binary: binary}
			before := make(map[string][]byte) // what the latest GET of a key has returned
			f.onGet = func(_ int, key string, value []byte, ok bool) ([]byte, bool) {
				before[key] = value
				return value, ok
			}
			f.serve(t)
			c := workload(f.addr, protocolOf(binary), WorkloadF)
			c.Clients, c.Pipeline, c.Threads, c.Requests = 1, 1, 1, 400 // so that nothing comes in between
			r := report(t, c)
			changed := 0
			for key, value := range f.stored() {
				old := before[key]
				if old == nil {
					continue // never read
				}
				var fieldsChanged []int
				for at := 0; at < RecordSize; at += fieldSize {
					if !bytes.Equal(old[at:at+fieldSize], value[at:at+fieldSize]) {
						fieldsChanged = append(fieldsChanged, at)
					}
				}
				changed += len(fieldsChanged)
				if len(fieldsChanged) > 1 {
					t.Fatalf("%s: the fields at %v have changed at once", key, fieldsChanged)
				}
			}
			if changed == 0 || r.Modify.Requests == 0 {
				t.Errorf("%d records have changed after %d read-modify-writes", changed, r.Modify.Requests)
			}
		})
	}
}

// The latency of a read-modify-write is that of both requests together: when every request takes 2 ms, it takes 4.
func TestModifyIsOneOperation(t *testing.T) {
	const each = 2 * time.Millisecond
	f := (&fake{delay: func(n int) {
		if n > 10 { // the keys are there
			<-time.After(each)
		}
	}}).serve(t)
	c := workload(f.addr, RESP, WorkloadF)
	c.Keys, c.Clients, c.Threads, c.Pipeline, c.Requests = 10, 1, 1, 1, 100
	r := report(t, c)
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	if r.Modify.Requests == 0 || r.Get.P50 < us(each) || r.Modify.P50 < us(2*each) {
		t.Errorf("%d of rmw with a median of %.0f µs, of get %.0f µs; want at least twice %v and once", r.Modify.Requests, r.Modify.P50, r.Get.P50, each)
	}
}

// A missing record is written anew, and an error ends the operation.
func TestModifyOfMissingAndRefused(t *testing.T) {
	for name, binary := range protocols() {
		t.Run(name, func(t *testing.T) {
			f := (&fake{binary: binary, onSet: func(n int, _ string) string {
				if n%2 == 0 {
					return "OOM no memory"
				}
				return ""
			}}).serve(t)
			c := workload(f.addr, protocolOf(binary), WorkloadF)
			c.Load, c.Requests = false, 1000
			r := report(t, c)
			if r.Misses == 0 || r.Errors == 0 || r.Requests+r.Errors != 1000 || r.FirstError != "OOM no memory" {
				t.Errorf("misses %d, errors %d (%q), requests %d; want some, some, and 1000 together", r.Misses, r.Errors, r.FirstError, r.Requests)
			}
		})
	}
}

// Settings that the workload decides are refused beside it; E says why it can't be run.
func TestValidateWorkload(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"--workload e reads ranges":      func(c *Config) { c.Workload = WorkloadE },
		`--workload "g": unknown`:        func(c *Config) { c.Workload = "g" },
		"--verify with --workload a":     func(c *Config) { c.Verify = true },
		"--read-ratio, --distribution a": func(c *Config) { c.ReadRatio = 0.5 },
		"--read-ratio, --distribution ":  func(c *Config) { c.Distribution = Zipfian },
		"--read-ratio, --distribution":   func(c *Config) { c.ZipfTheta = 0.5 },
		"--keys":                         func(c *Config) { c.Keys = 0 },
	} {
		c := workload("127.0.0.1:1", RESP, WorkloadA)
		spoil(&c)
		if _, err := Run(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want one that begins with %q", err, want)
		}
	}
}

// YCSB hashes the numbers of records for their names, too, so its first ones are widely known.
func TestScrambleIsTheHashOfYCSB(t *testing.T) {
	for rank, want := range []uint64{6284781860667377211, 8517097267634966620, 1820151046732198393} {
		if got := scramble(uint64(rank)); got != want {
			t.Errorf("rank %d: %d, want %d", rank, got, want)
		}
	}
}

// The constant that YCSB's source gives for 10^10 items and 0.99; and the shares of the most popular keys that follow.
func TestScrambledFollowsItsFormula(t *testing.T) {
	const zetaYCSB, draws, keys = 26.46902820178302, 400_000, 100_000
	c := Config{Keys: keys, Distribution: Scrambled, ZipfTheta: ycsbTheta}
	p, r := newKeyPicker(&c), rng{1}
	if off := math.Abs(p.zipf.zetaN/zetaYCSB - 1); off > 1e-9 {
		t.Errorf("zeta is %v, want %v", p.zipf.zetaN, zetaYCSB)
	}
	counts := make(map[uint64]int)
	for range draws {
		key := p.pick(&r)
		if key >= keys {
			t.Fatalf("key %d of %d", key, keys)
		}
		counts[key]++
	}
	for rank := range uint64(2) { // from rank 2 on the method is an approximation
		// Other ranks that fall on the same key add about 1/keys.
		share := math.Pow(float64(rank+1), -ycsbTheta)/zetaYCSB + 1.0/keys
		got := float64(counts[scramble(rank)%keys])
		if dev := math.Abs(got-draws*share) / math.Sqrt(draws*share); dev > 5 {
			t.Errorf("the key of rank %d was drawn %.0f times, want about %.0f", rank, got, draws*share)
		}
	}
	if len(counts) < keys/2 {
		t.Errorf("only %d of %d keys were drawn: the tail is missing", len(counts), keys)
	}
	top := slices.Sorted(maps.Values(counts))
	if want := int(math.Round(draws / zetaYCSB)); top[len(top)-1] > want*11/10 {
		t.Errorf("the most popular key was drawn %d times, want about %d", top[len(top)-1], want)
	}
}

// The newest key is the most popular, whatever has been inserted meanwhile, and the ranks behind it follow Zipf's law.
func TestLatestFollowsInserts(t *testing.T) {
	const keys, draws = 1000, 200_000
	c := Config{Keys: keys, Distribution: Latest, ZipfTheta: ycsbTheta}
	in := newInsertions(keys)
	p, r := newKeyPicker(&c).following(in), rng{3}
	for _, total := range []uint64{keys, 2 * keys, 20 * keys} {
		for uint64(in.stored.Load()) < total {
			in.answered(in.insert())
		}
		ages := make([]int, total)
		for range draws {
			key := p.pick(&r)
			if key >= total {
				t.Fatalf("key %d of %d", key, total)
			}
			ages[total-1-key]++
		}
		for age := range 2 {
			share := math.Pow(float64(age+1), -ycsbTheta) / zetaExactly(int(total), ycsbTheta)
			if dev := math.Abs(float64(ages[age])-draws*share) / math.Sqrt(draws*share); dev > 5 {
				t.Errorf("of %d keys that of age %d was drawn %d times, want about %.0f", total, age, ages[age], draws*share)
			}
		}
		head := 0
		for _, n := range ages[:100] {
			head += n
		}
		if want := zetaExactly(100, ycsbTheta) / zetaExactly(int(total), ycsbTheta); math.Abs(float64(head)/draws-want) > 0.02 {
			t.Errorf("the newest 100 of %d have a share of %.3f, want %.3f", total, float64(head)/draws, want)
		}
	}
}

// A key can be read when it and all before it have been answered, in whatever order that happens.
func TestInsertionsWaitForTheOnesBefore(t *testing.T) {
	in := newInsertions(10)
	for range 4 {
		in.insert()
	}
	for _, step := range []struct {
		answered uint64
		stored   int64
	}{{12, 10}, {11, 10}, {10, 13}, {13, 14}} {
		in.answered(step.answered)
		if got := in.stored.Load(); got != step.stored {
			t.Errorf("after the answer to %d keys up to %d can be read, want %d", step.answered, got, step.stored)
		}
	}
	if len(in.early) > 0 {
		t.Errorf("left behind: %v", in.early)
	}
}

// Many loops insert at once: no number is given twice, and none is lost.
func TestInsertionsOfManyLoops(t *testing.T) {
	const loops, each = 8, 5000
	in := newInsertions(7)
	var wg sync.WaitGroup
	for range loops {
		wg.Go(func() {
			for range each {
				in.answered(in.insert())
			}
		})
	}
	wg.Wait()
	if got := in.stored.Load(); got != 7+loops*each || len(in.early) > 0 {
		t.Errorf("%d keys, %d waiting; want %d and none", got, len(in.early), 7+loops*each)
	}
}

// A zipf that grew is the same as one that was made as large.
func TestZipfGrows(t *testing.T) {
	grown := newZipf(10, ycsbTheta)
	grown.grow(5) // smaller: nothing happens
	grown.grow(5000)
	fresh := newZipf(5000, ycsbTheta)
	if grown.n != fresh.n || math.Abs(grown.zetaN/fresh.zetaN-1) > 1e-12 || math.Abs(grown.eta/fresh.eta-1) > 1e-12 {
		t.Errorf("grown %+v, fresh %+v", grown, fresh)
	}
}
