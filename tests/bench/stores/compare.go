package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// A session is a run with what rows share.
type session struct {
	cfg      config
	disk     disk
	merges   *samples // of two rows
	progress func(format string, args ...any)
}

// compare measures the chosen rows and reports them.
func compare(ctx context.Context, cfg config, stdout io.Writer) error {
	todo, err := chosen(cfg.rows)
	if err != nil {
		return err
	}
	s, err := openSession(cfg, todo)
	if err != nil {
		return err
	}
	outcomes := s.measureAll(ctx, todo, stdout)
	if err := os.RemoveAll(s.disk.dir); err != nil {
		return fmt.Errorf("remove the data: %w", err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d of %d rows", len(outcomes), len(todo))
	}
	line, failures := tally(outcomes)
	fmt.Fprintf(stdout, "%s\n%s.\n", line, missingPeers)
	if err := writeMarkdown(cfg, outcomes); err != nil {
		return err
	}
	if failures > 0 {
		return fmt.Errorf("%d rows could not be measured", failures)
	}
	return nil
}

// openSession makes the run's folder, on a disk that has room for each of the rows.
func openSession(cfg config, todo []row) (*session, error) {
	d, err := makeDisk(cfg.data)
	if err != nil {
		return nil, err
	}
	s := &session{cfg: cfg, disk: d}
	s.progress = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "stores: "+format+"\n", args...) }
	for _, r := range todo {
		if err := d.room(r.bytes(cfg)); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", r.id, err), os.RemoveAll(d.dir))
		}
	}
	return s, nil
}

// measureAll measures row after row; one that fails doesn't stop the others, an interrupt does.
func (s *session) measureAll(ctx context.Context, todo []row, stdout io.Writer) []outcome {
	var outcomes []outcome
	for _, r := range todo {
		s.progress("%s: %s", r.id, r.title)
		o := s.attempts(ctx, r)
		if ctx.Err() != nil {
			break
		}
		o.print(stdout)
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// attempts measures a row until its base is steady enough for a verdict; what is thrown away goes into the notes.
func (s *session) attempts(ctx context.Context, r row) outcome {
	var thrown []string
	for attempt := 1; ; attempt++ {
		if err := s.disk.room(r.bytes(s.cfg)); err != nil { // others write to the disk as well
			return outcome{row: r, err: err}
		}
		res, err := r.measure(ctx, s)
		err = errors.Join(err, s.clear())
		if o := (outcome{r, res, err}); o.verdict() != discarded || attempt >= s.cfg.attempts {
			o.result.notes = append(o.result.notes, thrown...)
			return o
		}
		thrown = append(thrown, fmt.Sprintf("attempt %d thrown away, %s spread by %.0f %%: ratio %s; %s", attempt, res.base.name,
			100*summarize(res.base.values).spread(), number(res.value), res.samples.text()))
	}
}

// text is all samples in one line.
func (s *samples) text() string {
	texts := make([]string, len(s.all))
	for i, one := range s.all {
		texts[i] = fmt.Sprintf("%s %s %s", one.name, numbers(one.values), one.unit)
	}
	return strings.Join(texts, " · ")
}

func writeMarkdown(cfg config, outcomes []outcome) error {
	if cfg.out == "" {
		return nil
	}
	var b bytes.Buffer
	markdown(&b, about(cfg), outcomes)
	if err := os.WriteFile(cfg.out, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the rows: %w", err)
	}
	return nil
}

// about describes the run: what was compared, on what.
func about(cfg config) string {
	kind := fmt.Sprintf("%d rounds, %d goroutines, %d writers with sync, values of %d bytes", cfg.rounds, cfg.goroutines,
		cfg.writers, cfg.valueBytes)
	if cfg.quick {
		kind = "Rehearsal (-quick), not for the record: " + kind
	}
	return fmt.Sprintf("%s; %d, %d and %d keys. %d CPUs, Linux %s, %s%s. %s.", kind, cfg.sets, cfg.startKeys, cfg.keys,
		runtime.NumCPU(), kernelRelease(), runtime.Version(), peerVersions(), missingPeers)
}

// peerVersions are those that this program is linked with.
func peerVersions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	text := ""
	for _, m := range info.Deps {
		if strings.HasPrefix(m.Path, "github.com/dgraph-io/badger") || m.Path == "go.etcd.io/bbolt" {
			text += ", " + m.Path + " " + m.Version
		}
	}
	return text
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown release"
	}
	return unix.ByteSliceToString(u.Release[:])
}
