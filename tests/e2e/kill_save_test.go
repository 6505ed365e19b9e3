package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const killsWhileSavingAtFull = 12

// saving makes the arguments of a server that keeps some of the log that a snapshot makes superfluous, or, always if all
// is set, drops all of it.
func saving(rng *rand.Rand, all bool) []string {
	retention := []string{"off", "2MiB", "1s"}[rng.IntN(3)]
	if all {
		retention = "off"
	}
	return []string{
		"--log-retention", retention,
		"--snapshot-compression", []string{"zstd", "lz4", "none"}[rng.IntN(3)],
	}
}

// save has the server take snapshots one after the other until the kill, and returns how many were acknowledged.
func (c *crowd) save(addr string) (taken int) {
	conn, err := openResp(addr, "")
	for err == nil {
		var reply any
		reply, err = conn.do("SAVE")
		if err == nil && reply != "OK" {
			err = fmt.Errorf("SAVE was answered with %v", reply)
		}
		if err == nil {
			taken++
		}
	}
	if !c.killing.Load() {
		c.problem(fmt.Errorf("snapshots were stopped by something else than the kill: %w", err))
	}
	if conn != nil {
		conn.Close()
	}
	return taken
}

// workAndSave is work beside snapshots; it returns how many were taken.
func (c *crowd) workAndSave(t *testing.T, p *process, rng *rand.Rand, mixed bool) (taken int) {
	t.Helper()
	c.killing.Store(false) // also for snapshots that begin before the work does
	var wg sync.WaitGroup
	wg.Go(func() { taken = c.save(p.addr) })
	c.work(t, p, rng, mixed, shortestRun+time.Duration(rng.Int64N(int64(longestRun-shortestRun))))
	wg.Wait()
	return taken
}

// restoredBeside restores a folder that no server has open into a new one, and returns its name.
func restoredBeside(t *testing.T, dir string) string {
	t.Helper()
	restored := filepath.Join(t.TempDir(), "restored")
	if r := command(t, "", binary, "restore", "--from", dir, "--dir", restored); r.status != 0 {
		t.Fatalf("restore --from %s ended with status %d\n%s%s", dir, r.status, r.stdout, r.stderr)
	}
	return restored
}

// TestKillWhileSaving: as TestKill, but snapshots are taken all the time and the log behind them is dropped. What is left
// is sound to check and can be restored elsewhere. NK_TEST_PERCENT scales the number of kills.
func TestKillWhileSaving(t *testing.T) {
	rng := randomness(t)
	dir := filepath.Join(t.TempDir(), "data")
	c := newCrowd()
	kills := max(2, killsWhileSavingAtFull*percent(t)/100)
	taken, last := 0, 0 // snapshots; those of the last life
	for i := range kills {
		args := append([]string{"--dir", dir, "--log-file-size", "1MiB", "--sync", []string{"always", "everysec", "never"}[i%3]},
			saving(rng, i == kills-1)...)
		for i > 0 && rng.IntN(3) == 0 {
			killWhileStarting(t, rng, args)
		}
		p := start(t, args...)
		c.verify(t, p)
		last = c.workAndSave(t, p, rng, i%2 == 0)
		taken += last
		if c.failed() {
			t.Errorf("kill %d of %d:", i+1, kills)
			break
		}
	}
	if r := command(t, "", binary, "check", dir); r.status != 0 {
		t.Errorf("check after the last kill ended with status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	// The log is dropped after a snapshot, so it is sure of all but the last one.
	if first := logFiles(t, dir)[0]; last > 1 && strings.HasSuffix(first, "0000000001.log") {
		t.Errorf("%d snapshots were taken, %d of them in the last life, and %s is still there", taken, last, first)
	}
	c.verify(t, start(t, "--dir", restoredBeside(t, dir)))
	c.verify(t, start(t, "--dir", dir))
	c.report(t)
	t.Logf("%d kills, %d snapshots, %d operations acknowledged", kills, taken, c.acked.Load())
}

// TestKillWithoutLog: at --wal off a kill takes what is newer than the newest snapshot, and nothing else.
func TestKillWithoutLog(t *testing.T) {
	rng := randomness(t)
	dir := filepath.Join(t.TempDir(), "data")
	saved := make(map[string]string)
	for i := range max(2, killsWhileSavingAtFull*percent(t)/100/2) {
		p := start(t, "--dir", dir, "--wal", "off", "--save-interval", "0")
		conn := dialResp(t, p, "")
		for key, value := range saved {
			if got := conn.must(t, "GET", key); got != value {
				t.Fatalf("life %d: %s is %v after a kill, want %q: it was in a snapshot", i, key, got, value)
			}
		}
		if got := conn.must(t, "GET", "lost"); got != nil {
			t.Fatalf("life %d: a key that no snapshot had is %v after a kill", i, got)
		}
		for range 200 {
			key, value := fmt.Sprintf("key:%d", rng.IntN(500)), fmt.Sprintf("life %d, %d", i, rng.Uint64())
			conn.must(t, "SET", key, value)
			saved[key] = value
		}
		conn.must(t, "SAVE")
		conn.must(t, "SET", "lost", "yes")
		conn.must(t, "DEL", "key:1")
		p.kill(t)
	}
}
