package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// random returns numbers from NK_SEED, or from a seed that it logs.
func random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("NK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("NK_SEED is %q; it must be a number", text)
		}
	}
	t.Logf("NK_SEED=%d makes the same choices", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// bitcaskStore opens a store with small files, at whose level nothing waits for the disk.
func bitcaskStore(t testing.TB, dir string, opt Options) *Store {
	t.Helper()
	if opt.Level == 0 {
		opt.Level = LevelNever
	}
	return logStore(t, dir, inMode(ModeBitcask, opt))
}

// model is what the store must hold, changed by the same calls.
type model struct {
	t    testing.TB
	rng  *rand.Rand
	s    *Store
	keys map[string]modelValue
}

type modelValue struct {
	value   string
	version uint64
	expire  time.Time
}

const modelKeys = 200

// change makes one random change of the store and of the model.
func (m *model) change() {
	key := []byte(fmt.Sprintf("key %d", m.rng.IntN(modelKeys)))
	switch n := m.rng.IntN(100); {
	case n < 45:
		m.set(key, SetOptions{})
	case n < 55:
		m.set(key, SetOptions{Expire: m.later()})
	case n < 60:
		m.set(key, SetOptions{KeepTTL: true})
	case n < 65:
		m.conditional(key)
	case n < 80:
		m.delete(key)
	case n < 90:
		m.expire(key)
	case n < 95:
		m.incr([]byte(fmt.Sprintf("counter %d", m.rng.IntN(5))))
	case n < 99 || m.rng.IntN(10) > 0:
		m.batch()
	default:
		must(m.t, m.s.Flush())
		clear(m.keys)
	}
}

// later is a time that no test sees, to the millisecond as the store has it.
func (m *model) later() time.Time {
	return time.UnixMilli(m.s.Now()).Add(time.Hour + time.Duration(m.rng.IntN(1000))*time.Second)
}

// value is small mostly, sometimes larger than what the engine keeps in one piece, or than a file.
func (m *model) value() string {
	size := m.rng.IntN(400)
	switch n := m.rng.IntN(200); {
	case n == 0:
		size = 60_000 + m.rng.IntN(10_000)
	case n < 10:
		size = m.rng.IntN(5000)
	}
	return strings.Repeat(fmt.Sprintf("%016x", m.rng.Uint64()), size/16+1)[:size]
}

func (m *model) set(key []byte, opt SetOptions) {
	value := m.value()
	version, err := m.s.SetWith(key, []byte(value), opt)
	must(m.t, err)
	if opt.KeepTTL {
		opt.Expire = m.keys[string(key)].expire
	}
	m.keys[string(key)] = modelValue{value, version, opt.Expire}
}

// conditional writes if the key is as the model says, and if it is as the model doesn't.
func (m *model) conditional(key []byte) {
	old, found := m.keys[string(key)]
	_, err := m.s.CompareAndSwap(key, []byte("never"), old.version+1)
	wantErr(m.t, "another version", err, ErrVersion)
	_, err = m.s.SetWith(key, []byte("never"), SetOptions{IfAbsent: found, IfExists: !found})
	wantErr(m.t, "the opposite condition", err, ErrNotStored)
	value := m.value()
	version, err := m.s.CompareAndSwap(key, []byte(value), old.version)
	must(m.t, err)
	m.keys[string(key)] = modelValue{value: value, version: version}
}

func (m *model) delete(key []byte) {
	err := m.s.Delete(key)
	if _, found := m.keys[string(key)]; found {
		must(m.t, err)
	} else {
		wantErr(m.t, "delete of nothing", err, ErrNotFound)
	}
	delete(m.keys, string(key))
}

func (m *model) expire(key []byte) {
	at := [...]time.Time{{}, m.later(), time.UnixMilli(m.s.Now() - 1)}[m.rng.IntN(3)]
	err := m.s.Expire(key, at)
	old, found := m.keys[string(key)]
	switch {
	case !found:
		wantErr(m.t, "expire of nothing", err, ErrNotFound)
		return
	case !at.IsZero() && at.UnixMilli() < m.s.Now():
		delete(m.keys, string(key))
	default:
		old.expire = at
		m.keys[string(key)] = m.renewed(key, old)
	}
	must(m.t, err)
}

// renewed is a value whose version the store alone knows.
func (m *model) renewed(key []byte, v modelValue) modelValue {
	info, err := m.s.Info(key)
	must(m.t, err)
	v.version = info.Version
	return v
}

func (m *model) incr(key []byte) {
	old := m.keys[string(key)]
	n, _ := strconv.ParseInt(old.value, 10, 64) // nothing counts as 0
	delta := int64(m.rng.IntN(1000) - 500)
	sum, err := m.s.Incr(key, delta)
	if err != nil || sum != n+delta {
		m.t.Fatalf("%s: %d plus %d is %d, %v", key, n, delta, sum, err)
	}
	old.value = strconv.FormatInt(sum, 10)
	m.keys[string(key)] = m.renewed(key, old)
}

func (m *model) batch() {
	var ops []Op
	after := map[string]*modelValue{}
	for range 1 + m.rng.IntN(10) {
		key := fmt.Sprintf("key %d", m.rng.IntN(modelKeys))
		op := Op{Key: []byte(key), Delete: m.rng.IntN(3) == 0}
		after[key] = nil
		if !op.Delete {
			op.Value, op.Expire = []byte(m.value()), [...]time.Time{{}, m.later()}[m.rng.IntN(2)]
			after[key] = &modelValue{value: string(op.Value), expire: op.Expire}
		}
		ops = append(ops, op)
	}
	must(m.t, m.s.Write(ops))
	for key, v := range after {
		delete(m.keys, key)
		if v != nil {
			m.keys[key] = m.renewed([]byte(key), *v)
		}
	}
}

// check compares the whole store with the model.
func (m *model) check(what string) {
	m.t.Helper()
	for key, want := range m.keys {
		got, info, err := m.s.GetInfo(nil, []byte(key))
		if err != nil || string(got) != want.value || info.Version != want.version || !info.Expire.Equal(want.expire) ||
			info.Bytes != uint64(len(want.value)) {
			m.t.Fatalf("%s: %s: %.40q (%d bytes), %+v, %v; want %.40q (%d bytes), version %d, expiry %v", what, key, got,
				len(got), info, err, want.value, len(want.value), want.version, want.expire)
		}
	}
	seen := map[string]bool{}
	for e, err := range m.s.Scan() {
		must(m.t, err)
		want, found := m.keys[string(e.Key)]
		if !found || e.Version != want.version || e.Bytes != uint64(len(want.value)) || !e.Expire.Equal(want.expire) {
			m.t.Fatalf("%s: the scan shows %q with %+v, want %+v", what, e.Key, e.Info, want)
		}
		seen[string(e.Key)] = true
	}
	if len(seen) != len(m.keys) || m.s.Stats().Keys != uint64(len(m.keys)) {
		m.t.Fatalf("%s: %d keys are scanned, %d counted, want %d", what, len(seen), m.s.Stats().Keys, len(m.keys))
	}
}

// TestBitcaskModel: random calls, with pieces of merges in between, clean stops and kills; the store is the model, always.
func TestBitcaskModel(t *testing.T) {
	dir := t.TempDir()
	m := model{t: t, rng: random(t), keys: map[string]modelValue{}}
	opt := Options{ManualSteps: true, Segments: 8}
	m.s = bitcaskStore(t, dir, opt)
	var merges uint64
	for round := range 8 {
		for range 400 {
			m.change()
			for range m.rng.IntN(4) {
				_, err := m.s.MergeStep()
				must(t, err)
			}
		}
		m.check(fmt.Sprint("round ", round))
		opt.CacheBytes = []int64{0, 2000, 1 << 20}[round%3] // from the next start on
		switch round % 4 {
		case 0:
			must(t, m.s.Merge(t.Context()))
			m.check("after a merge of all")
			merges += m.s.DataFiles().Merges
		case 1:
			must(t, m.s.Close())
			m.s = bitcaskStore(t, dir, opt)
			m.check("after a clean stop")
		case 2:
			dir = killed(t, m.s)
			m.s = bitcaskStore(t, dir, opt)
			m.check("after a kill")
		}
	}
	if merges == 0 {
		t.Error("there were no merges")
	}
}

// TestBitcaskUnderMerges: writers overwrite their keys, readers see each of them go forward only, and the driver merges.
func TestBitcaskUnderMerges(t *testing.T) { underMerges(t, Options{Segments: 4}) }

func underMerges(t *testing.T, opt Options) {
	const keys = 50
	dir := t.TempDir()
	s := bitcaskStore(t, dir, opt)
	var newest [3][keys]atomic.Int64
	var writers, others sync.WaitGroup
	var stop atomic.Bool
	for w := range newest {
		writers.Go(func() {
			for i := int64(1); i <= 2000 || s.DataFiles().Merges == 0 && !t.Failed(); i++ {
				k := int(i) % keys
				value := fmt.Appendf(nil, "%d %s", i, bytes.Repeat([]byte("v"), 300))
				if err := s.Set(fmt.Appendf(nil, "%d/%d", w, k), value); err != nil {
					t.Error(err)
					return
				}
				newest[w][k].Store(i)
			}
		})
		others.Go(func() {
			buf := make([]byte, 0, 400)
			for k := 0; !stop.Load(); k = (k + 7) % keys {
				least := newest[w][k].Load()
				got, err := s.Get(buf, fmt.Appendf(nil, "%d/%d", w, k))
				if least == 0 && errors.Is(err, ErrNotFound) {
					continue
				}
				if n := number(got); err != nil || n < least {
					t.Errorf("key %d/%d shows %d, %v, after %d was written", w, k, n, err, least)
					return
				}
			}
		})
	}
	others.Go(func() {
		for !stop.Load() {
			noErr(t, s.Merge(t.Context()))
		}
	})
	eventually(t, "the writers", start(writers.Wait))
	stop.Store(true)
	eventually(t, "the readers and the merges", start(others.Wait))
	must(t, s.Merge(t.Context()))
	if f := s.DataFiles(); f.Merges == 0 || f.MergeDroppedBytes == 0 || f.DamagedReads != 0 {
		t.Errorf("%+v", f)
	}
	if opt.CacheBytes != 0 && s.DataFiles().CacheHits == 0 {
		t.Errorf("nothing was found in the cache: %+v", s.DataFiles())
	}
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{})
	for w := range newest {
		for k := range keys {
			got, err := s.Get(nil, fmt.Appendf(nil, "%d/%d", w, k))
			if want := newest[w][k].Load(); err != nil || number(got) != want {
				t.Errorf("key %d/%d is %.10q, %v, after a start; want %d", w, k, got, err, want)
			}
		}
	}
}

// number is what a value begins with; -1 if that is none.
func number(value []byte) int64 {
	text, _, _ := strings.Cut(string(value), " ")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// TestBitcaskGetFromDisk: with room enough for the value a read costs Go no memory, and with little or none it finds out how
// much is needed.
func TestBitcaskGetFromDisk(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	key, value := []byte("key"), bytes.Repeat([]byte("0123456789"), 100)
	must(t, s.Set(key, value))
	must(t, s.Sync(t.Context()))
	buf := make([]byte, 0, len(value))
	n := testing.AllocsPerRun(100, func() {
		if got, err := s.Get(buf, key); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per read", n)
	}
	for _, room := range []int{0, 1, len(value) - 1, len(value) + 1} {
		got, err := s.Get(append(make([]byte, 0, room+2), "p:"...), key)
		if err != nil || string(got) != "p:"+string(value) {
			t.Errorf("into room for %d: %d bytes, %v", room, len(got), err)
		}
	}
}

// TestCloseWaitsForReads: a read that has left the gate goes on with the store open.
func TestCloseWaitsForReads(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{})
	stripe, err := s.enter()
	must(t, err)
	stripe.reads.RLock()
	s.gate.runlock(stripe)
	closing := start(func() { noErr(t, s.Close()) })
	waitFor(t, "Close to wait for the read", func() bool {
		free := stripe.reads.TryRLock() // not beside somebody who waits for it
		if free {
			stripe.reads.RUnlock()
		}
		return !free
	})
	select {
	case <-closing:
		t.Error("Close has not waited")
	default:
	}
	stripe.reads.RUnlock()
	eventually(t, "Close", closing)
}

// TestCloseDuringReads, which find the value or a closed store.
func TestCloseDuringReads(t *testing.T) {
	closeDuringReads(t, Options{}, 5000)
	closeDuringReads(t, Options{CacheBytes: 50_000}, 3000)
}

func closeDuringReads(t *testing.T, opt Options, size int) {
	s := bitcaskStore(t, t.TempDir(), opt)
	value := strings.Repeat("v", size)
	for i := range 100 {
		must(t, s.Set(fmt.Appendf(nil, "%d", i), []byte(value)))
	}
	var reads atomic.Int64
	var readers sync.WaitGroup
	for r := range 8 {
		readers.Go(func() {
			for i := r; ; i++ {
				got, err := s.Get(nil, fmt.Appendf(nil, "%d", i%100))
				if err != nil {
					wantErr(t, "a read while the store is closed", err, ErrClosed)
					return
				}
				if string(got) != value {
					t.Errorf("key %d: %d bytes", i%100, len(got))
					return
				}
				reads.Add(1)
			}
		})
	}
	waitFor(t, "some reads", func() bool { return reads.Load() > 1000 })
	must(t, s.Close())
	eventually(t, "the readers", start(readers.Wait))
}

// TestBitcaskPipeline: the requests of one chunk get their values from disk, in their order, those that are not there yet
// from memory.
func TestBitcaskPipeline(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	c := newClient(t, s)
	const keys = 150
	var in, want strings.Builder
	for i := range keys {
		value := strings.Repeat(fmt.Sprint(i), 100)
		must(t, s.Set(fmt.Appendf(nil, "%d", i), []byte(value)))
		fmt.Fprintf(&want, "$%d\r\n%s\r\n", len(value), value)
	}
	for i := range keys {
		in.WriteString(resp("GET", fmt.Sprint(i)))
	}
	in.WriteString(resp("SET", "0", "new") + resp("MGET", "0", "nothing", "1") + resp("INCR", "7") + resp("STRLEN", "20"))
	one := strings.Repeat("1", 100)
	fmt.Fprintf(&want, "+OK\r\n*3\r\n$3\r\nnew\r\n$-1\r\n$100\r\n%s\r\n", one)
	want.WriteString("-ERR value is not an integer or out of range\r\n:200\r\n")
	if out, left := c.send(in.String()); out != want.String() || left != 0 {
		t.Errorf("got %.300q … %q", out, out[max(len(out)-300, 0):])
	}
}

// TestBitcaskDamage: a flipped bit costs the value that it is in, and nothing else.
func TestBitcaskDamage(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{ManualSteps: true, Merge: MergeOptions{Off: true}})
	want := map[string]string{}
	for i := range 300 {
		key, value := fmt.Sprintf("key %d", i), strings.Repeat(fmt.Sprintf("<%d>", i), 100)
		must(t, s.Set([]byte(key), []byte(value)))
		want[key] = value
	}
	must(t, s.Sync(t.Context()))
	flip(t, dir, strings.Repeat("<7>", 100))
	delete(want, "key 7")

	_, err := s.Get(nil, []byte("key 7"))
	wantErr(t, "the damaged one", err, ErrCorrupt)
	if err != nil && !strings.Contains(err.Error(), `"key 7"`) {
		t.Errorf("%v does not name the key", err)
	}
	_, err = s.Incr([]byte("key 7"), 1)
	wantErr(t, "a change that needs it", err, ErrCorrupt)
	for key, value := range want {
		wantValue(t, s, key, value)
	}
	scanned := map[string]bool{}
	for e, err := range s.Scan() {
		if string(e.Key) == "key 7" {
			wantErr(t, "the damaged one in a scan", err, ErrCorrupt)
			continue
		}
		must(t, err)
		scanned[string(e.Key)] = true
	}
	if !slices.Equal(slices.Sorted(maps.Keys(scanned)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("%d keys are scanned, want %d", len(scanned), len(want))
	}
	must(t, s.lookAtFolder())
	if f := s.DataFiles(); f.DamagedFiles != 1 || f.DamagedReads == 0 {
		t.Errorf("%+v", f)
	}
	must(t, s.Set([]byte("key 7"), []byte("anew")))
	wantValue(t, s, "key 7", "anew")
}

// flip changes a bit of the first data file that holds the text, inside of it.
func flip(t testing.TB, dir, text string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	must(t, err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		must(t, err)
		at := bytes.Index(data, []byte(text))
		if at < 0 {
			continue
		}
		at += len(text) / 2
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt([]byte{data[at] ^ 1}, int64(at))
		must(t, errors.Join(err, f.Close()))
		return
	}
	t.Fatalf("no file holds %.20q", text)
}
