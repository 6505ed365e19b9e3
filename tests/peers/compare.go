package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// compare measures the chosen rows and reports them.
func compare(ctx context.Context, cfg config, stdout io.Writer) error {
	todo, err := chosen(cfg.only)
	if err != nil {
		return err
	}
	s, err := openSession(cfg)
	if err != nil {
		return err
	}
	if needDisk(todo) {
		if _, err := s.dataDisk(); err != nil {
			return errors.Join(err, s.close())
		}
	}
	outcomes := s.measureAll(ctx, todo, stdout)
	if err := s.close(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d of %d rows", len(outcomes), len(todo))
	}
	line, failures := tally(outcomes)
	fmt.Fprintln(stdout, line)
	if err := writeMarkdown(cfg, outcomes); err != nil {
		return err
	}
	if failures > 0 {
		return fmt.Errorf("%d rows could not be measured", failures)
	}
	return nil
}

// openSession checks that this machine can measure and makes the run's folder.
func openSession(cfg config) (*session, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	if cfg.nitrokv == "" {
		cfg.nitrokv = filepath.Join(root, "bin", "nitrokv")
	}
	if cfg.nitrokv, err = filepath.Abs(cfg.nitrokv); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.nitrokv); err != nil {
		return nil, refusef("%s is not there; build it with: make build", cfg.nitrokv)
	}
	for _, program := range []string{"redis-server", "memcached", compiler()} {
		if !installed(program) {
			return nil, refusef("%s is not installed; install it with: scripts/deps-peers", program)
		}
	}
	serverCPU, loadCPU, err := twoCPUs()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "nitrokv-peers-*")
	if err != nil {
		return nil, err
	}
	b := &bench{cfg: cfg, root: root, self: self, dir: dir, serverCPU: serverCPU, loadCPU: loadCPU, ticks: readTicks}
	b.progress = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "peers: "+format+"\n", args...) }
	return &session{bench: b, speed: newSpeed(b), memory: map[int]*memoryRun{}, tools: newToolbox(b)}, nil
}

// measureAll measures row after row; one that fails doesn't stop the others, an interrupt does.
func (s *session) measureAll(ctx context.Context, todo []row, stdout io.Writer) []outcome {
	var outcomes []outcome
	for _, r := range todo {
		s.progress("%s: %s", r.id, r.title)
		s.disturbed = disturbances{}
		res, err := r.measure(ctx, s)
		if ctx.Err() != nil {
			break
		}
		if note := s.disturbed.note(s.cfg.stealMax); note != "" {
			res.notes = append(res.notes, note)
		}
		o := outcome{row: r, result: res, err: err}
		o.print(stdout)
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func writeMarkdown(cfg config, outcomes []outcome) error {
	if cfg.out == "" {
		return nil
	}
	f, err := os.Create(cfg.out)
	if err != nil {
		return err
	}
	if err := markdown(f, about(cfg), outcomes); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", cfg.out, err)
	}
	return f.Close()
}

// about describes the run: what was compared, on what.
func about(cfg config) string {
	kind := fmt.Sprintf("%d rounds of %v, %d and %d keys", cfg.rounds, cfg.duration, cfg.keys, cfg.manyKeys)
	if cfg.quick {
		kind = "Rehearsal (-quick), not for the record: " + kind
	}
	return fmt.Sprintf("%s. %s, %d CPUs, Linux %s. %s; %s; %s.", kind, cpuModel(), runtime.NumCPU(), kernelRelease(),
		firstLine("redis-server", "--version"), firstLine("memcached", "--version"), runtime.Version())
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown release"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// firstLine returns the first line that a program prints about its version.
func firstLine(program, flag string) string {
	text, err := exec.Command(program, flag).Output()
	if err != nil {
		return program + " of unknown version"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
