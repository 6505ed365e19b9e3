package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The soak: a server in mode bitcask with small files works for a long time and takes a snapshot now and then, and must take no more of anything in the end than
// early on. "make soak" runs it for ten minutes, "make test" for 20 s; without a time it takes soakShort.
const (
	soakVariable  = "SOAK"
	soakShort     = 20 * time.Second
	soakFile      = 1 << 20 // bytes of a data file
	soakClients   = 4
	soakKeys      = 1000                  // of each client
	soakBurst     = 8                     // operations of each client …
	soakPause     = 10 * time.Millisecond // … that often, so that the machine has time for others
	soakSave      = time.Second           // from one snapshot to the next
	soakValueMin  = 10
	soakValueMax  = 20 << 10
	soakShortTTL  = 1500 * time.Millisecond // most of those that are waited for
	soakClockSlip = 200 * time.Millisecond  // between the server's clock and ours
)

// What the end may take more than the first third's end, both at rest and merged: a share, and what is no growth: a few files
// more or less, and how the allocators and the garbage collector happen to stand.
const (
	soakGrowth       = 10 // percent
	soakMemorySlack  = 2 << 20
	soakRSSSlack     = 12 << 20
	soakFilesSlack   = 4
	soakDiskOverhead = 20 // percent of the live bytes, beside what the file that is written to, and the one that is prepared, hold
	soakDiskSlack    = 3 * soakFile
)

func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(soakVariable)
	if text == "" {
		return soakShort
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 3*time.Second {
		t.Fatalf("%s is %q; it must be a duration from 3s, for example 10m", soakVariable, text)
	}
	return d
}

// TestSoak: writes, overwrites, deletes, keys that expire, rotation and merges, without an end; nothing grows but what is
// stored, and every key is right, in the end and after a restart, which reads hints alone.
func TestSoak(t *testing.T) {
	d := soakTime(t)
	rng := randomness(t)
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"--dir", dir, "--mode", "bitcask", "--max-file-size", fmt.Sprint(soakFile), "--sync", "everysec"}
	p := start(t, args...)
	s := newSoak(rng)
	s.work(t, p, d/3)
	first := s.rest(t, p, dir, nil)
	s.work(t, p, d-d/3)
	last := s.rest(t, p, dir, &first)
	s.verify(t, p)
	c := dialResp(t, p, "") // for the server's own account
	merges, amplification := bitcaskField(t, c, "merges"), infoOf(t, c, "bitcask")["write_amplification"]
	p.stop(t)
	p = start(t, args...)
	s.verify(t, p)
	c = dialResp(t, p, "")
	if rebuilt := bitcaskField(t, c, "hints_rebuilt"); rebuilt != 0 {
		t.Errorf("the start after a clean stop had to read %d files that should have had a hint", rebuilt)
	}
	if merges == 0 {
		t.Error("there was no merge")
	}
	t.Logf("soak: %v, %d operations, %d snapshots, %d merges, write amplification %s; from the first third to the end: memory %s, resident %s, "+
		"open files %d to %d, disk %s for %s live", d, s.operations(), s.saved, merges, amplification, grown(first.memory, last.memory),
		grown(first.resident, last.resident), first.files, last.files, grown(first.disk, last.disk), grown(first.live, last.live))
}

func grown(from, to uint64) string {
	return fmt.Sprintf("%.1f to %.1f MiB", float64(from)/(1<<20), float64(to)/(1<<20))
}

// A sample is what a server takes.
type sample struct {
	memory   uint64 // bytes that the engine counts
	resident uint64 // bytes of the process
	files    uint64 // open file descriptors
	disk     uint64 // allocated bytes of the folder
	live     uint64 // bytes of records that a key refers to
}

func takeSample(t *testing.T, p *process, c *respConn, dir string) sample {
	t.Helper()
	proc := filepath.Join("/proc", fmt.Sprint(p.cmd.Process.Pid))
	open, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	pages := strings.Fields(mustRead(t, filepath.Join(proc, "statm")))
	resident, err := strconv.ParseUint(pages[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	memory, err := strconv.ParseUint(infoOf(t, c, "memory")["used_memory"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return sample{memory: memory, resident: resident * uint64(os.Getpagesize()), files: uint64(len(open)),
		disk: diskUse(t, dir), live: bitcaskField(t, c, "live_bytes")}
}

// complaint says what is more than it may be: on the disk beside what is live, and of all else beside an earlier sample.
func (s *sample) complaint(before *sample) string {
	if most := s.live*(100+soakDiskOverhead)/100 + soakDiskSlack; s.disk > most {
		return fmt.Sprintf("%d bytes on the disk for %d live, want %d at most", s.disk, s.live, most)
	}
	if before == nil {
		return ""
	}
	more := func(what string, is, was, slack uint64) string {
		if most := was*(100+soakGrowth)/100 + slack; is > most {
			return fmt.Sprintf("%s: %d after the first third, %d now, want %d at most", what, was, is, most)
		}
		return ""
	}
	stored := max(s.live, before.live) - before.live // what is stored may grow
	for _, text := range []string{
		more("bytes of memory", s.memory, before.memory, soakMemorySlack),
		more("resident bytes", s.resident, before.resident, soakRSSSlack),
		more("open files", s.files, before.files, soakFilesSlack),
		more("bytes on the disk", s.disk, before.disk+stored, soakFile),
	} {
		if text != "" {
			return text
		}
	}
	return ""
}

// A soak is the clients, with what they know.
type soak struct {
	clients [soakClients]*soaker
	saved   int // snapshots
	saveErr error
}

func newSoak(rng *rand.Rand) *soak {
	s := &soak{}
	for i := range s.clients {
		s.clients[i] = &soaker{name: fmt.Sprint("c", i), rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))}
	}
	return s
}

func (s *soak) operations() (n int) {
	for _, c := range s.clients {
		n += c.done
	}
	return n
}

// work lets the clients work for that long.
func (s *soak) work(t *testing.T, p *process, d time.Duration) {
	t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	stop := make(chan struct{})
	errs := make([]error, len(s.clients))
	var wg sync.WaitGroup
	for i, c := range s.clients {
		conn := dialResp(t, p, "")
		if err := conn.SetDeadline(time.Now().Add(d + callLimit)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { errs[i] = errors.Join(c.work(conn, stop), conn.Close()) })
	}
	conn := dialResp(t, p, "")
	if err := conn.SetDeadline(time.Now().Add(d + callLimit)); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { s.saveErr = errors.Join(s.save(conn, stop), conn.Close()) })
	<-end.C
	close(stop)
	wg.Wait()
	if s.saveErr != nil {
		t.Fatalf("%v\n%s", s.saveErr, p.logged())
	}
	for _, err := range errs {
		if err != nil {
			t.Fatalf("%v\n%s", err, p.logged())
		}
	}
}

// save takes snapshots, and reads a bit of one each time as a backup does, until it is told to stop.
func (s *soak) save(conn *respConn, stop <-chan struct{}) error {
	tick := time.NewTicker(soakSave)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		opened, err := conn.do("SNAPSHOT", "OPEN")
		if err != nil {
			return err
		}
		handle := fmt.Sprint(opened.([]any)[0])
		if _, err = conn.do("SNAPSHOT", "READ", handle, "0", "4096"); err == nil {
			_, err = conn.do("SNAPSHOT", "CLOSE", handle)
		}
		if err != nil {
			return err
		}
		s.saved++
	}
}

// rest waits until what expires soon has gone, merges everything, takes a snapshot, which lets go what the one before it has held, and
// demands that the server takes what it may.
func (s *soak) rest(t *testing.T, p *process, dir string, before *sample) sample {
	t.Helper()
	c := dialResp(t, p, "")
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(4 * callLimit)); err != nil {
		t.Fatal(err)
	}
	eventually(t, callLimit, "what expires soon has gone", func() bool {
		known, vague := 0, false
		for _, client := range s.clients {
			n, open := client.present(time.Now())
			known, vague = known+n, vague || open
		}
		return !vague && c.must(t, "DBSIZE") == int64(known)
	})
	c.must(t, "MERGE")
	c.must(t, "SAVE")
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(callLimit); ; <-again.C {
		got := takeSample(t, p, c, dir)
		text := got.complaint(before)
		if text == "" {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s", text, p.logged())
		}
	}
}

// verify reads every key.
func (s *soak) verify(t *testing.T, p *process) {
	t.Helper()
	conn := dialResp(t, p, "")
	defer conn.Close()
	for _, c := range s.clients {
		for i := range c.keys {
			if err := c.check(conn, i); err != nil {
				t.Fatal(err)
			}
		}
	}
}
