package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

const mergeLong = `Merge the data files of a store in mode bitcask: the file that is written to is closed, what is live in files with dead bytes
is written anew, and the files go. A server goes on serving meanwhile; it also merges unasked, see --merge of "nitrokv serve".

What is written anew stays on disk as long as a snapshot has it, or --log-retention of the server keeps it for restores.

With --dir a folder that no server is using is opened for it. If files are kept for restores there, in its folder retained, those
that this merge replaces join them until the server's next start at the earliest; else they go. A merge that is interrupted changes nothing that anybody could
read, and can be repeated.`

func newMerge(t terminal) *cobra.Command {
	var kv kvConfig
	s := &settings{options: kv.options()}
	c := &cobra.Command{
		Use:                   "merge [--dir PATH]",
		Short:                 "Merge the data files of a store in mode bitcask",
		Long:                  mergeLong,
		Example:               "  nitrokv merge\n  nitrokv merge --dir ./data",
		DisableFlagsInUseLine: true,
		Args:                  noOperands,
		RunE: func(*cobra.Command, []string) error {
			warnUnknown(t)
			err := s.resolve(t.env)
			if err == nil {
				err = kv.merge(t)
			}
			if err != nil {
				return fmt.Errorf("merge: %w", err)
			}
			return nil
		},
	}
	s.attach(c)
	return c
}

// merge has a server, or the one that opens a folder, merge, and says what has come of it.
func (c *kvConfig) merge(t terminal) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends the process
	to, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	job := &mergeJob{addr: to.addr, opt: resp.Options{Password: to.password, Timeout: c.timeout, Dial: to.dial}}
	began := time.Now()
	hide := newStatusLine(t.stderr).show(func() string { return job.progress(time.Since(began)) })
	before, after, err := job.run(ctx)
	hide()
	if err != nil {
		return c.mergeFailed(ctx, to, err)
	}
	return writeAll(t.stdout, []byte(mergeSummary(to.name, before, after, time.Since(began))))
}

// mergeFailed says what a merge has failed on.
func (c *kvConfig) mergeFailed(ctx context.Context, to *target, err error) error {
	var refused mergeRefused
	switch {
	case errors.As(err, &refused) && strings.HasPrefix(string(refused), "NOAUTH"):
		return fmt.Errorf("%s asks for a password; name a file that holds it with --password-file, or set NITROKV_PASSWORD", to.name)
	case errors.As(err, &refused):
		return fmt.Errorf("%s refuses: %w", to.name, err)
	case ctx.Err() != nil:
		return errors.New("interrupted; nothing is lost, and what was merged stays merged")
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.explain(ctx, err)
	}
	return err
}

// mergeRefused is the error that a server has answered.
type mergeRefused string

func (e mergeRefused) Error() string { return string(e) }

// A mergeJob is one merge by a server.
type mergeJob struct {
	addr string
	opt  resp.Options
	seen atomic.Pointer[mergeCounts] // the latest; nil before the first
	base atomic.Uint64               // written by merges before this one
}

// mergeCounts are the counters of INFO's section Bitcask that a merge moves.
type mergeCounts struct {
	files, bytes, live, dead uint64
	merges, written, dropped uint64
}

// mergeWatchEvery is how often the server is asked how far it is, which is also a sign of life: the connection that waits
// for the merge is silent for as long as that takes.
const mergeWatchEvery = time.Second

// mergeLoadingPause is how long a server that is loading its data is left alone.
const mergeLoadingPause = 100 * time.Millisecond

// run merges. It returns the counters before and after.
func (j *mergeJob) run(ctx context.Context) (before, after *mergeCounts, err error) {
	c, err := resp.Dial(ctx, j.addr, j.opt)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if before, err = readMergeCounts(ctx, c); err != nil {
		return nil, nil, err
	}
	j.base.Store(before.written)
	if err = j.mergeLoaded(ctx, c); err != nil {
		return nil, nil, err
	}
	after, err = readMergeCounts(ctx, c)
	return before, after, err
}

// mergeLoaded is merge, and waits as long as the timeout for a server that is loading its data.
func (j *mergeJob) mergeLoaded(ctx context.Context, c *resp.Conn) error {
	began := time.Now()
	for {
		err := j.merge(ctx, c)
		var refused mergeRefused
		if !errors.As(err, &refused) || !strings.HasPrefix(string(refused), "LOADING ") || time.Since(began) > j.opt.Timeout {
			return err
		}
		select {
		case <-time.After(mergeLoadingPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// merge sends MERGE and waits for its end, or until the server gives no sign of life any more.
func (j *mergeJob) merge(ctx context.Context, c *resp.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { cancel(j.watch(ctx)) })
	c.SetTimeout(0)
	v, err := c.Do(ctx, "MERGE")
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	watching.Wait()
	c.SetTimeout(j.opt.Timeout)
	_, err = mergeAnswer(v, err)
	return err
}

// watch looks how far the merge is until ctx ends, and returns earlier only if the server is silent for too long. Any other
// trouble shows on the connection that waits as well.
func (j *mergeJob) watch(ctx context.Context) error {
	again := time.NewTicker(mergeWatchEvery)
	defer again.Stop()
	c, err := resp.Dial(ctx, j.addr, j.opt)
	for err == nil {
		select {
		case <-ctx.Done():
			return c.Close()
		case <-again.C:
			var n *mergeCounts
			if n, err = readMergeCounts(ctx, c); err == nil {
				j.seen.Store(n)
			}
		}
	}
	if c != nil {
		err = errors.Join(err, c.Close())
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done()
	}
	return err
}

// progress shows how far the merge is; for a status line.
func (j *mergeJob) progress(elapsed time.Duration) string {
	text := fmt.Sprintf("merging, %v", elapsed.Round(time.Second))
	if n := j.seen.Load(); n != nil {
		text += fmt.Sprintf(", %s written", sizeText(n.written-min(j.base.Load(), n.written)))
	}
	return text
}

// readMergeCounts asks for the counters. Of a server in another mode, which has none, all are 0.
func readMergeCounts(ctx context.Context, c *resp.Conn) (*mergeCounts, error) {
	v, err := mergeAnswer(c.Do(ctx, "INFO", "bitcask"))
	if err != nil {
		return nil, err
	}
	var n mergeCounts
	fields := map[string]*uint64{"data_files": &n.files, "data_bytes": &n.bytes, "live_bytes": &n.live, "dead_bytes": &n.dead, "merges": &n.merges,
		"merge_written_bytes": &n.written, "merge_dropped_bytes": &n.dropped}
	for line := range strings.Lines(v.Text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		to := fields[name]
		if to == nil {
			continue
		}
		if *to, err = strconv.ParseUint(value, 10, 64); err != nil {
			return nil, fmt.Errorf("read %s in the server's INFO: %w", name, err)
		}
	}
	return &n, nil
}

// mergeAnswer makes an error of an error reply.
func mergeAnswer(v resp.Value, err error) (resp.Value, error) {
	if err == nil && v.Kind == resp.Error {
		err = mergeRefused(v.Text)
	}
	return v, err
}

// mergeSummary is what has become of it in one line.
func mergeSummary(name string, before, after *mergeCounts, took time.Duration) string {
	live := 100.0
	if records := after.live + after.dead; records > 0 {
		live = 100 * float64(after.live) / float64(records)
	}
	return fmt.Sprintf("merged %s: %s, %s written, %s dropped; %s of %s, %.1f %% of the records live; took %v\n", name,
		countText(after.merges-before.merges, "merge"), sizeText(after.written-before.written), sizeText(after.dropped-before.dropped),
		countText(after.files, "data file"), sizeText(after.bytes), live, took.Round(time.Millisecond))
}
