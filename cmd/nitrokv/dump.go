package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/transfer"
)

const dumpLong = `Write every key with its value and the time when it expires, as JSON, one entry a line and in no order, to a file or to
stdout. "nitrokv load" reads it.

  {"key":"session:1","value":"any text","expires_at":"2030-01-31T12:00:00.250Z"}
  {"key":"image","value_base64":"iVBORw0KGgo="}

A key or value that is no text (UTF-8 without control characters other than tab, newline and carriage return) is written in
base64, under "key_base64" or "value_base64". "expires_at" stands only at keys that expire; it is in UTC, with milliseconds.
A time after the year 9999 is a number instead, of milliseconds since 1970.

A dump is no snapshot: each key is as it was at some moment while the dump was made. Every key that was there the whole time
is in it; one that came or went meanwhile may be; one may come twice, which a load doesn't mind.

A value that cannot be read (mode bitcask: damage, or an error of the disk) is left out: its key is named, all others are written, and the exit
status is 1.

A file gets its name when it is complete and on disk; until then, and if the dump fails, there is what was there before. What
is no regular file, such as a pipe or a device, is written to as it is.`

func newDump(t terminal) *cobra.Command {
	kv := kvConfig{eachRequest: true, parallel: true}
	s := &settings{options: kv.options()}
	return newKV(t, &kv, s, &cobra.Command{
		Use:     "dump [FILE | -]",
		Short:   "Write every key to a file or stdout",
		Long:    dumpLong,
		Example: "  nitrokv dump keys.jsonl\n  nitrokv dump | gzip > keys.jsonl.gz\n  nitrokv dump --addr old:6379 | nitrokv load - --addr new:6379",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return dump(ctx, &kv, c, args, t)
	})
}

// dump writes to what the operand names. A signal ends it, and a file that is not complete is removed.
func dump(ctx context.Context, kv *kvConfig, c *client.Client, args []string, t terminal) error {
	if len(args) > 1 {
		return usage("takes one file, got %d operands; write: nitrokv dump FILE, or nitrokv dump for stdout", len(args))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	began := time.Now()
	var totals transfer.DumpTotals
	status := newStatusLine(t.stderr)
	write := func(w io.Writer) (err error) {
		job := transfer.NewDump(c, w, kv.timeout, func(key string) {
			status.say("key " + keyText(key) + ": its value cannot be read from the disk, and is not in the dump")
		})
		defer status.show(func() string {
			done, total := job.Progress()
			return progressText("dumping", done, total, done, time.Since(began))
		})()
		totals, err = job.Run(ctx)
		return err
	}
	var err error
	where, standing := "stdout", transfer.InPlace
	if len(args) == 1 && args[0] != "-" {
		where = args[0]
		standing, err = transfer.Replace(where, write)
	} else {
		err = write(t.stdout)
	}
	if err != nil {
		return dumpError(ctx, kv, where, standing, &totals, err)
	}
	took := time.Since(began)
	fmt.Fprintf(t.stderr, "dumped %s, %s, in %s (%.0f keys/s)\n", countOf(totals.Keys, "key", "keys"), sizeText(uint64(totals.Bytes)),
		took.Round(time.Millisecond), float64(totals.Keys)/max(took.Seconds(), 1e-3))
	if totals.Damaged > 0 {
		return fmt.Errorf("the dump has all but %s, whose values cannot be read: they are %w, or the disk fails; to see where: stop the server, then nitrokv check DIR",
			countOf(totals.Damaged, "key", "keys"), errDamaged)
	}
	return nil
}

// dumpError says what a dump has failed on, and what there is of it.
func dumpError(ctx context.Context, kv *kvConfig, where string, standing transfer.Standing, totals *transfer.DumpTotals, err error) error {
	var ofServer *client.Error
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		err = errors.New("interrupted")
	case errors.As(err, &ofServer):
		err = kv.explain(context.Background(), err)
	default:
		err = fmt.Errorf("write to %s: %w", where, err)
	}
	switch {
	case standing == transfer.Old:
		return usage("%v; %s is as it was", err, where)
	case standing == transfer.New:
		return usage("%v; %s is the new dump and whole, but may be what it was before if the machine loses its power; "+
			"see to the disk, and repeat the dump", err, where)
	case totals.Keys > 0:
		return usage("%v; what was written is not whole, %s", err, countOf(totals.Keys, "key at most", "keys at most"))
	}
	return usage("%v", err)
}
