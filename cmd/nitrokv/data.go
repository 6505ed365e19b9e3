package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// dataConfig is what the options of "nitrokv serve" about its data folder set.
type dataConfig struct {
	dir       string
	wal       string
	fileBytes int64
	level     engine.Level
	onIOError server.IOErrorPolicy
}

func (c *dataConfig) options() []option {
	return []option{
		{name: "dir", arg: "PATH", def: "./data", set: dirTo(&c.dir),
			help: "Data folder; made if it is missing. One server at a time can use it"},
		{name: "wal", arg: "MODE", def: "on", set: wordTo(&c.wal, "on", "off"),
			help: "Write-ahead log; off: there is no data folder, and nothing is kept when the server stops"},
		{name: "sync", arg: "LEVEL", def: engine.LevelAlways.String(), set: syncTo(&c.level),
			help: "When a write is acknowledged. always: when it is on disk; everysec: when it is written, a power loss may take a second; never: the same, but syncs are not hurried. Killing the process loses nothing at any level"},
		{name: "log-file-size", arg: "SIZE", def: "64MiB", set: fileSizeTo(&c.fileBytes),
			help: "Size at which the log goes on in a new file, 64KiB to 1024GiB"},
		{name: "on-io-error", arg: "ACTION", def: server.IOErrorExit.String(), set: policyTo(&c.onIOError),
			help: "After a failed write or sync of the log: exit with status 3, or readonly: refuse writes and go on with reads of what is on disk"},
	}
}

// finish refuses options that have no effect without a log: "--wal off --sync always" would promise what nobody keeps.
func (c *dataConfig) finish(found map[string]setting) error {
	if c.wal == "on" {
		return nil
	}
	for _, name := range []string{"dir", "sync", "log-file-size", "on-io-error"} {
		if found[name].from == fromFlag {
			return fmt.Errorf("--%s and --wal off: without a log nothing is written; drop one of them", name)
		}
	}
	return nil
}

// apply passes the settings on.
func (c *dataConfig) apply(o *server.Options) {
	if c.wal == "off" {
		return
	}
	o.Dir, o.LogFileBytes, o.Level, o.OnIOError = c.dir, c.fileBytes, c.level, c.onIOError
}

// announce says at the start what is kept and what can be lost.
func (c *dataConfig) announce(log *slog.Logger) {
	if c.wal == "off" {
		log.Warn("nothing is kept: there is no log on disk, all data is gone when this process ends", "wal", c.wal)
		return
	}
	dir, err := filepath.Abs(c.dir)
	if err != nil { // the working directory is gone; the folder was opened all the same
		dir = c.dir
	}
	log.Info("data folder", "dir", dir, "sync", c.level.String(), "a_power_loss_takes", lossAt(c.level), "on_io_error", c.onIOError.String())
	log.Warn("the log only grows: this version has no snapshots, so old files can't be dropped; mind the disk", "dir", dir)
}

// lossAt is what a level promises, in a few words.
func lossAt(l engine.Level) string {
	switch l {
	case engine.LevelAlways:
		return "nothing that was acknowledged"
	case engine.LevelEverysec:
		return "at most the last second"
	}
	return "the last seconds"
}

// explain adds to an error about the data folder what can be typed next. The engine's own text says it as far as an
// engine can, which knows no flags, and is cut where a folder's name is very long.
func (c *dataConfig) explain(err error) error {
	err = withoutCode(err)
	check := "nitrokv check " + shellWord(c.dir)
	switch {
	case errors.Is(err, engine.ErrInUse):
		return fmt.Errorf("%w (--dir)", err)
	case errors.Is(err, engine.ErrCorrupt) && !strings.Contains(err.Error(), check):
		return fmt.Errorf("%w; see: %s", err, check)
	}
	return err
}

// withoutCode takes the text of the engine's code off the end of an error, where the engine's own words stand before it
// and say more; the chain stays.
func withoutCode(err error) error {
	var code engine.Error
	if !errors.As(err, &code) {
		return err
	}
	return &trimmed{err, strings.TrimSuffix(err.Error(), ": "+code.Error())}
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func dirTo(dst *string) func(string) error {
	return func(text string) error {
		if text == "" {
			return errors.New("empty; name a folder, for example ./data, or keep nothing with --wal off")
		}
		*dst = text
		return nil
	}
}

func syncTo(dst *engine.Level) func(string) error {
	return func(text string) error {
		l, err := engine.ParseLevel(strings.ToLower(text))
		if err != nil {
			return errors.New("unknown; use always, everysec, never")
		}
		*dst = l
		return nil
	}
}

func policyTo(dst *server.IOErrorPolicy) func(string) error {
	return func(text string) error {
		p, err := server.ParseIOErrorPolicy(text)
		if err != nil {
			return errors.New("unknown; use exit, readonly")
		}
		*dst = p
		return nil
	}
}

func fileSizeTo(dst *int64) func(string) error {
	return func(text string) error {
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		if n < 64<<10 || n > 1<<40 {
			return errors.New("out of range; use 64KiB to 1024GiB, for example 64MiB or 1GiB")
		}
		*dst = n
		return nil
	}
}
