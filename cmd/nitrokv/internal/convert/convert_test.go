package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

var modes = []engine.Mode{engine.ModeMemory, engine.ModeBitcask}

// contents are what a store must hold.
type contents map[string]engine.Op

// someContents are of all kinds, chosen by NK_SEED, or by a seed that is logged.
func someContents(t *testing.T) contents {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("NK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("NK_SEED is %q; it must be a number", text)
		}
	}
	t.Logf("NK_SEED=%d makes the same choices", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	later := time.UnixMilli(time.Now().Add(time.Hour).UnixMilli())
	c := contents{
		"":                           {Value: []byte("the empty key")},
		"empty value":                {},
		"empty value that expires":   {Expire: later},
		"\x00\xff\r\n":               {Value: []byte("\xfe\x00")},
		strings.Repeat("k", 1<<16-1): {Value: []byte("the longest key")},
	}
	for i := range 4 {
		c[fmt.Sprint("large ", i)] = engine.Op{Value: bytes.Repeat([]byte{byte(i), byte(rng.Uint32())}, 1<<19+i-2)}
	}
	for len(c) < 5000 { // more than one batch of keys
		op := engine.Op{Value: bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(300))}
		if rng.IntN(3) == 0 {
			op.Expire = later.Add(time.Duration(rng.IntN(1e6)) * time.Millisecond)
		}
		key := make([]byte, 1+rng.IntN(30))
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		c[string(key)] = op
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string, mode engine.Mode) *engine.Store {
	t.Helper()
	s, err := engine.Open(engine.Options{Dir: dir, Mode: mode, Level: engine.LevelNever})
	must(t, err)
	return s
}

// fill makes a folder with the contents, beside some that have gone.
func (c contents) fill(t *testing.T, dir string, mode engine.Mode) {
	t.Helper()
	s := open(t, dir, mode)
	must(t, s.Set([]byte("deleted"), []byte("v")))
	must(t, s.Delete([]byte("deleted")))
	for key, op := range c {
		must(t, s.Set([]byte(key), []byte("an older value")))
		op.Key = []byte(key)
		must(t, s.Write([]engine.Op{op}))
	}
	must(t, s.Close())
}

// mustBeIn demands that a folder is of the mode, and holds the contents and nothing else.
func (c contents) mustBeIn(t *testing.T, dir string, mode engine.Mode) {
	t.Helper()
	s := open(t, dir, mode)
	n := 0
	for item, err := range s.Items() {
		must(t, err)
		want, found := c[string(item.Key)]
		if !found || !bytes.Equal(item.Value, want.Value) || !item.Expire.Equal(want.Expire) {
			t.Fatalf("%.40q is %.40q, expires %v; want %.40q, %v", item.Key, item.Value, item.Expire, want.Value, want.Expire)
		}
		n++
	}
	if n != len(c) {
		t.Errorf("%d keys, want %d", n, len(c))
	}
	must(t, s.Close())
}

// mustHoldOnly demands that a folder holds these names, so that nothing is left beside them.
func mustHoldOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	held, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range held {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

// Everything is there afterwards, from each mode to each, and the origin is what it was.
func TestConvert(t *testing.T) {
	c := someContents(t)
	for _, from := range modes {
		for _, to := range modes {
			t.Run(fmt.Sprintf("%v to %v", from, to), func(t *testing.T) {
				dir := t.TempDir()
				job := Job{From: filepath.Join(dir, "from"), To: filepath.Join(dir, "to"), Mode: to}
				c.fill(t, job.From, from)
				must(t, os.Mkdir(job.To, 0o700)) // an empty folder is as good as none
				seen := map[string]uint64{}
				job.Progress = func(stage string, done, total uint64) {
					if done > total || done < seen[stage] {
						t.Errorf("%s: %d of %d, after %d", stage, done, total, seen[stage])
					}
					seen[stage] = done
				}
				totals, err := job.Run(t.Context())
				if err != nil || totals.From != from || totals.Keys != uint64(len(c)) || totals.Expired != 0 || totals.Bytes == 0 || len(totals.Hash) != 32 {
					t.Errorf("%+v, %v; want %d keys", totals, err, len(c))
				}
				if seen[stageCopy] == 0 || seen[stageCompare] == 0 || len(seen) != 4 {
					t.Errorf("progress %v", seen)
				}
				mustHoldOnly(t, dir, "from", "to")
				c.mustBeIn(t, job.To, to)
				c.mustBeIn(t, job.From, from)
			})
		}
	}
}

// An interruption ends it, wherever it has come to, and nothing is left.
func TestInterrupted(t *testing.T) {
	c := someContents(t)
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	c.fill(t, from, engine.ModeBitcask)
	why := errors.New("that is enough")
	for _, at := range []string{stageRead, stageCopy, stageReopen, stageCompare} {
		ctx, cancel := context.WithCancelCause(t.Context())
		job := Job{From: from, To: filepath.Join(dir, "to"), Mode: engine.ModeBitcask}
		reached := false
		job.Progress = func(stage string, _, _ uint64) {
			if stage == at {
				reached = true
				cancel(why)
			}
		}
		if totals, err := job.Run(ctx); !errors.Is(err, why) || !reached {
			t.Errorf("%s: %+v, %v", at, totals, err)
		}
		mustHoldOnly(t, dir, "from")
	}
	c.mustBeIn(t, from, engine.ModeBitcask)
}

// A key that expires between the two looks at it is no difference.
func TestExpiresMeanwhile(t *testing.T) {
	dir := t.TempDir()
	job := Job{From: filepath.Join(dir, "from"), To: filepath.Join(dir, "to"), Mode: engine.ModeMemory}
	s := open(t, job.From, engine.ModeMemory)
	must(t, s.Set([]byte("stays"), nil))
	expire := time.UnixMilli(time.Now().Add(2 * time.Second).UnixMilli())
	_, err := s.SetWith([]byte("goes"), nil, engine.SetOptions{Expire: expire})
	must(t, err)
	must(t, s.Close())
	job.Progress = func(stage string, _, _ uint64) {
		for stage == stageCompare && time.Until(expire) > -time.Millisecond {
			<-time.After(time.Until(expire) + time.Millisecond)
		}
	}
	if totals, err := job.Run(t.Context()); err != nil || totals.Keys != 1 || totals.Expired != 1 {
		t.Errorf("%+v, %v; want one key, and one that has expired", totals, err)
	}
}

// damage flips a bit in the one file of a folder that holds a text.
func damage(t *testing.T, pattern, text string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	must(t, err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		must(t, err)
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			b[at] ^= 1
			must(t, os.WriteFile(name, b, 0o600))
			return
		}
	}
	t.Fatalf("%q is in none of %q", text, names)
}

// A value that can't be read ends it, with the key's name, be it in the origin or in the copy.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	c := contents{"good": {Value: []byte("fine")}, "bad": {Value: []byte("a value that is hurt")}}
	from := filepath.Join(dir, "from")
	c.fill(t, from, engine.ModeBitcask)
	job := Job{From: from, To: filepath.Join(dir, "to"), Mode: engine.ModeBitcask}
	job.Progress = func(stage string, done, _ uint64) {
		if stage == stageCompare && done == 0 {
			damage(t, filepath.Join(dir, ".to.converting-*", "store", "*.log"), "that is hurt")
		}
	}
	_, err := job.Run(t.Context())
	if !errors.Is(err, engine.ErrCorrupt) || !strings.Contains(err.Error(), `"bad"`) || !strings.Contains(err.Error(), "the new folder") {
		t.Errorf("a damaged copy: %v", err)
	}
	mustHoldOnly(t, dir, "from")
	job.Progress = nil
	damage(t, filepath.Join(from, "*.log"), "that is hurt")
	_, err = job.Run(t.Context())
	if !errors.Is(err, engine.ErrCorrupt) || !strings.Contains(err.Error(), `"bad"`) || strings.Contains(err.Error(), "the new folder") {
		t.Errorf("a damaged origin: %v", err)
	}
	mustHoldOnly(t, dir, "from")
}

// What can't be converted, or where there is no place, is refused, and stays as it is.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	from, file, full := filepath.Join(dir, "from"), filepath.Join(dir, "from", "LOCK"), filepath.Join(dir, "full")
	c := contents{"k": {Value: []byte("v")}}
	c.fill(t, from, engine.ModeMemory)
	must(t, os.Mkdir(full, 0o700))
	must(t, os.WriteFile(filepath.Join(full, "letter"), nil, 0o600))
	for want, job := range map[string]Job{
		"there is no store in " + full:   {From: full, To: filepath.Join(dir, "to")},
		from + " holds a store already":  {From: from, To: from},
		full + " is not empty, it holds": {From: from, To: full},
		file + " is there, and is no":    {From: from, To: file},
		"make a folder beside ":          {From: from, To: filepath.Join(dir, "none", "to")},
	} {
		job.Mode = engine.ModeMemory
		if _, err := job.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s := open(t, from, engine.ModeMemory)
	job := Job{From: from, To: filepath.Join(dir, "to"), Mode: engine.ModeMemory}
	if _, err := job.Run(t.Context()); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("an origin in use: %v", err)
	}
	must(t, s.Close())
	mustHoldOnly(t, dir, "from", "full")
	mustHoldOnly(t, full, "letter")
	c.mustBeIn(t, from, engine.ModeMemory)
}
