package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// What a put has reported is there after the server was stopped, and after it was killed.
func TestDataSurvivesStopAndKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for i, end := range []struct {
		sig    os.Signal
		status int
	}{{syscall.SIGTERM, 0}, {syscall.SIGKILL, -1}, {syscall.SIGTERM, 0}} {
		p := serveIn(t, dir)
		for j := range i {
			if r := call("", nil, "get", fmt.Sprint("key", j), "--addr", p.addr); r.stdout != fmt.Sprint("value", j) {
				t.Errorf("start %d: get key%d: %+v", i, j, r)
			}
		}
		if r := call("", nil, "put", fmt.Sprint("key", i), fmt.Sprint("value", i), "--addr", p.addr); r.status != 0 {
			t.Errorf("put: %+v", r)
		}
		p.stop(t, end.sig, end.status)
	}
}

func TestSecondServerOnTheSameFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, dir)
	r := call("", nil, "serve", "--port", "0", "--dir", dir)
	mustBeError(t, r, "--dir")
	for _, want := range []string{dir, fmt.Sprint(p.cmd.Process.Pid)} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the error doesn't name %q: %s", want, r.stderr)
		}
	}
	p.stop(t, syscall.SIGTERM, 0)
}

func TestWithoutAFolderNothingIsWritten(t *testing.T) {
	t.Chdir(t.TempDir())
	p := startProgram(t, "serve", "--port", "0", "--segments", "4", "--dir", "off")
	p.stop(t, syscall.SIGTERM, 0)
	files, err := os.ReadDir(".")
	if err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// A variable may say what --wal off or --dir off has no use for: only flags contradict each other.
func TestFlagsAgainstVariables(t *testing.T) {
	cfg, err := resolveServe(t, []string{"--wal", "off"}, []string{"NITROKV_DIR=d", "NITROKV_SYNC=never", "NITROKV_LOG_RETENTION=24h"})
	if err != nil || cfg.server.Dir != "d" || !cfg.server.WALOff || cfg.server.RetainFor != 0 {
		t.Errorf("%+v, %v", cfg.server, err)
	}
	cfg, err = resolveServe(t, []string{"--dir", "off"}, []string{"NITROKV_WAL=on", "NITROKV_SAVE_INTERVAL=60", "NITROKV_BACKUP_DIR=b"})
	if err != nil || cfg.server.Dir != "" || cfg.server.SaveInterval != 0 || cfg.server.BackupDir != "" {
		t.Errorf("%+v, %v", cfg.server, err)
	}
	if cfg, err = resolveServe(t, nil, nil); err != nil || cfg.server.Dir != "./data" || cfg.server.Level != engine.LevelAlways ||
		cfg.server.OnIOError != server.IOErrorExit || cfg.server.LogFileBytes != 0 || cfg.server.Mode != engine.ModeDefault {
		t.Errorf("defaults: %+v, %v", cfg.server, err)
	}
}

// Every level says at the start what a power loss may take.
func TestAnnounce(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--dir=off"}, []string{"nothing is kept"}},
		{[]string{"--wal=off"}, []string{"data folder", "wal=off"}},
		{nil, []string{"data folder", "sync=always", "nothing that was acknowledged", "on_io_error=exit"}},
		{[]string{"--sync=everysec"}, []string{"sync=everysec", "at most the last second"}},
		{[]string{"--sync=never"}, []string{"sync=never", "the last seconds"}},
		{[]string{"--sync=interval=200ms"}, []string{"sync=\"interval=200ms\"", "at most the last 200ms"}},
	} {
		cfg, err := resolveServe(t, test.args, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cfg.data.announce(slog.New(slog.NewTextHandler(&out, nil)), engine.ModeMemory)
		for _, want := range test.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q: no %q in %s", test.args, want, out.String())
			}
		}
	}
}

// An error about the folder says what to type next, and keeps its cause.
func TestExplain(t *testing.T) {
	c := dataConfig{dir: "my data"}
	for cause, want := range map[error]string{
		engine.ErrInUse:   "--dir",
		engine.ErrCorrupt: "nitrokv check 'my data'",
		engine.ErrFormat:  "",
	} {
		err := c.explain(fmt.Errorf("folder /d: %w", cause))
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), "folder /d") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", cause, err)
		}
	}
	if err := c.explain(nil); err != nil {
		t.Error(err)
	}
	said := fmt.Errorf("see: nitrokv check 'my data': %w", engine.ErrCorrupt)
	if err := c.explain(said); err.Error() != "see: nitrokv check 'my data'" || !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("said twice, or with the code's own text behind it: %v", err)
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"./data": "./data", "/srv/a_b-1": "/srv/a_b-1", "my data": "'my data'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
}
