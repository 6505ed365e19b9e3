package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nitrokv/nitrokv/proto"
)

// TestInspectRefusesMemory: a folder in memory is no disk.
func TestInspectRefusesMemory(t *testing.T) {
	const memory = "/dev/shm"
	var fs unix.Statfs_t
	if err := unix.Statfs(memory, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		t.Fatalf("%s is no tmpfs here (%v); every Linux has one there", memory, err)
	}
	_, err := inspect(memory)
	if _, ok := errors.AsType[refusal](err); !ok || !strings.Contains(err.Error(), memory) {
		t.Errorf("inspect(%s) = %v, want a refusal that names it", memory, err)
	}
}

func TestSyncLoop(t *testing.T) {
	rate, err := syncLoop(t.TempDir(), 67, 20*time.Millisecond)
	if err != nil || rate <= 0 {
		t.Errorf("syncLoop = %v, %v", rate, err)
	}
	var out bytes.Buffer
	if err := runSyncs([]string{"-dir", t.TempDir(), "-bytes", "0"}, &out); err == nil {
		t.Error("writes of 0 bytes were accepted")
	}
}

// TestReadLog counts the golden log file: two frames of 89 and 54 bytes, the second written after a sync.
func TestReadLog(t *testing.T) {
	const name = "0000000001.log"
	golden, err := os.ReadFile(filepath.Join("..", "golden", "v1", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), golden, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readLog(dir)
	if want := (logTally{bytes: 2*frameHeader + 89 + 54, syncs: 1}); err != nil || got != want {
		t.Errorf("readLog = %+v, %v; want %+v", got, err, want)
	}
	if _, err := readLog(t.TempDir()); err == nil {
		t.Error("an empty folder was taken for a log")
	}
}

func TestGeneratorFollowsThePlan(t *testing.T) {
	b := &bench{cfg: defaultConfig()}
	tg := target{server: &server{addr: "host:1"}, protocol: "resp"}
	has := func(argv []string, flag, value string) {
		t.Helper()
		if i := slices.Index(argv, flag); i < 0 || argv[i+1] != value {
			t.Errorf("%q has no %s %s", argv, flag, value)
		}
	}
	argv := b.generator(tg, plan{mix: onlyWrites, clients: 3, valueSize: 7, requests: 11, pipeline: 1})
	has(argv, "--read-ratio", "0")
	has(argv, "--clients", "3")
	has(argv, "--value-size", "7")
	has(argv, "--requests", "11")
	argv = b.generator(tg, plan{pipeline: 1, length: time.Second})
	has(argv, "--read-ratio", "0.5")
	has(argv, "--clients", "50")
	has(argv, "--duration", "1s")
}

func TestNeedDisk(t *testing.T) {
	for only, want := range map[string]bool{"dur": true, "cpu,dur-mux": true, "cpu,idle": false} {
		todo, err := chosen(only)
		if err != nil || needDisk(todo) != want {
			t.Errorf("-only %s needs a disk: %v, %v", only, needDisk(todo), err)
		}
	}
}

// TestMuxSendsGetsBesideSets: GETs go on although no SET has been answered, and a tenth of the requests are SETs.
func TestMuxSendsGetsBesideSets(t *testing.T) {
	const setsHeld = 50
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	counts := make(chan [2]int, 1)
	go func() { counts <- holdSets(ln, setsHeld) }()
	var out bytes.Buffer
	err = runMux(context.Background(), []string{"-addr", ln.Addr().String(), "-keys", "10", "-duration", "50ms", "-sets"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	got := <-counts
	var r loadResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	gets, sets := got[0], got[1]
	if sets < setsHeld || gets < muxShare*sets || gets > muxShare*(sets+1) {
		t.Errorf("%d GETs and %d SETs were sent", gets, sets)
	}
	if int(r.Requests) > gets || int(r.Requests) < gets-muxWindow {
		t.Errorf("%v GETs were reported of %d", r.Requests, gets)
	}
}

// holdSets answers GETs at once and the first SETs only when `held` of them have come, until the client is gone; it
// returns how many of both have come.
func holdSets(ln net.Listener, held int) (counts [2]int) {
	conn, err := ln.Accept()
	if err != nil {
		return counts
	}
	defer conn.Close()
	in := proto.NewReader(conn, proto.KindRequest, proto.Limits{})
	var waiting []byte
	for {
		m, err := in.Next()
		if err != nil {
			return counts
		}
		reply := proto.AppendReply(nil, proto.Meta{ID: m.ID}, proto.OK, "")
		if m.Op() == proto.OpSet {
			counts[1]++
			if waiting = append(waiting, reply...); counts[1] < held {
				continue
			}
			reply, waiting = waiting, nil
		} else {
			counts[0]++
		}
		if _, err := conn.Write(reply); err != nil {
			return counts
		}
	}
}
