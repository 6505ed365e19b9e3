package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

const (
	loadingKeys  = 400_000
	loadingBatch = 1000
)

// load fills a server with keys that have their number as their value.
func load(t *testing.T, p *process, keys int) {
	t.Helper()
	c := dialResp(t, p, "never")
	for first := 0; first < keys; first += loadingBatch {
		var batch []byte
		for i := range loadingBatch {
			batch = appendRequest(batch, "SET", fmt.Sprint("key:", first+i), fmt.Sprint(first+i))
		}
		if _, err := c.Write(batch); err != nil {
			t.Fatal(err)
		}
		for range loadingBatch {
			if _, err := c.reply(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLoading: while a server recovers, its port is open. What is about data is answered with -LOADING, what is not works. A
// kill at that moment loses nothing.
func TestLoading(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--log-file-size", "4MiB")
	load(t, p, loadingKeys)
	p.kill(t)

	p = launch(t, "--dir", dir, "--procs", "1")
	p.listening(t)
	whileLoading(t, p)
	p.kill(t)

	p = start(t, "--dir", dir)
	c := dialResp(t, p, "")
	if n := c.must(t, "DBSIZE"); n != int64(loadingKeys) {
		t.Errorf("%v keys after two kills, want %d", n, loadingKeys)
	}
	for i := 0; i < loadingKeys; i += 997 {
		if v := c.must(t, "GET", fmt.Sprint("key:", i)); v != fmt.Sprint(i) {
			t.Errorf("key:%d is %v", i, v)
		}
	}
	if info := c.must(t, "INFO", "persistence"); !strings.Contains(fmt.Sprint(info), "loading:0\r\n") {
		t.Errorf("INFO after loading: %v", info)
	}
}

// whileLoading sends everything in one go, between two requests that show that the server is still loading.
func whileLoading(t *testing.T, p *process) {
	t.Helper()
	frames := dialNBP(t, p)
	id, err := frames.get(proto.DurabilityDefault, "key:1")
	if err != nil {
		t.Fatal(err)
	}
	isStatus(t, "a binary GET", frames, id, proto.ELOADING)
	requests := [][]string{
		{"GET", "key:1"}, {"SET", "key:1", "x"}, {"DEL", "key:1"}, {"MSET", "key:1", "x"}, {"INCR", "key:1"}, {"SCAN", "0"},
		{"DBSIZE"}, {"FLUSHALL"}, {"PING"}, {"INFO", "persistence"}, {"CLIENT", "ID"}, {"HELLO", "2"}, {"EXISTS", "key:1"},
	}
	const refused = 8 // the first, and the last
	c := dialResp(t, p, "")
	var batch []byte
	for _, r := range requests {
		batch = appendRequest(batch, r...)
	}
	if _, err := c.Write(batch); err != nil {
		t.Fatal(err)
	}
	for i, r := range requests {
		got, err := c.reply()
		loading := err != nil && strings.HasPrefix(err.Error(), "LOADING ")
		if want := i < refused || i == len(requests)-1; loading != want {
			t.Errorf("%q while loading: %v, %v", r, got, err)
		}
		if r[0] == "INFO" && !strings.Contains(fmt.Sprint(got), "loading:1\r\n") {
			t.Errorf("INFO while loading: %v", got)
		}
	}
}
