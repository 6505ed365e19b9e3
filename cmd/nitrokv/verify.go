package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/engine"
)

const verifyLong = `Read a backup, or a snapshot of a data folder, and check every byte: the checksums, and that keys and contents are what its
end says. Nothing is changed, and memory is needed for one block alone.

Of mode bitcask it may be a backup, a snapshot's folder, or a data folder that no server uses: every record is read, and what the
keys come to is told, with the same hash that the same contents have in mode memory. That takes memory for the keys.

The exit status is 0 if the file is whole, 1 if it is damaged, and 2 if it could not be read.`

func newBackupVerify(t terminal) *cobra.Command {
	s := &settings{}
	c := &cobra.Command{
		Use:                   "verify FILE",
		Short:                 "Check every byte of a backup",
		Long:                  verifyLong,
		Example:               "  nitrokv backup verify monday.nitro",
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			warnUnknown(t)
			if err := verifyBackup(args, t); err != nil {
				return fmt.Errorf("backup verify: %w", err)
			}
			return nil
		},
	}
	s.attach(c)
	return c
}

func verifyBackup(args []string, t terminal) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("needs one file, got %d operands; write: nitrokv backup verify FILE", len(args))
	}
	reading := newReading("verifying")
	hide := newStatusLine(t.stderr).show(reading.text)
	info, err := engine.VerifySnapshot(args[0], reading.progress)
	hide()
	if err != nil {
		return ofFile(err, "engine: verify: verify ")
	}
	return writeAll(t.stdout, []byte(fmt.Sprintf("%s: whole; %s, %s (%s before compression), LSN %d of %s, hash %s\n", args[0], countText(info.Keys, "key"),
		sizeText(info.Bytes), sizeText(info.RawBytes), info.LSN, timeText(info.Time), info.Hash)))
}

// ofFile is an error of the engine about a file as a command tells it: without the engine's own words around it, and with
// the exit status of damage if it is that.
func ofFile(err error, prefix string) error {
	plain := trimPrefix(withoutCode(err), prefix)
	if errors.Is(err, engine.ErrCorrupt) {
		return &damagedError{plain}
	}
	return plain
}

// damagedError is an error that ends a command with exitDamaged.
type damagedError struct{ error }

func (d *damagedError) Unwrap() error { return d.error }

// Is says what errors.Is asks for.
func (d *damagedError) Is(target error) bool { return target == errDamaged }

// reading is how far the engine is with reading something.
type reading struct {
	verb        string
	began       time.Time
	done, total atomic.Uint64
}

func newReading(verb string) *reading { return &reading{verb: verb, began: time.Now()} }

// progress notes it; for the engine.
func (r *reading) progress(done, total uint64) {
	r.done.Store(done)
	r.total.Store(total)
}

// text shows it; for a status line.
func (r *reading) text() string {
	done, total := r.done.Load(), r.total.Load()
	if done >= total {
		return r.verb
	}
	return barText(r.verb, done, total, time.Since(r.began))
}
