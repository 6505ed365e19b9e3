package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/engine"
)

// errDamaged is the cause of an exit with exitDamaged.
var errDamaged = errors.New("damaged")

// checkConfig is what the options of "nitrokv check" set.
type checkConfig struct {
	repair bool
}

func (c *checkConfig) options() []option {
	return []option{
		{name: "repair", def: "false", flag: true, set: boolTo(&c.repair),
			help: "If the folder is damaged, drop everything from the first damaged record on, so that a server starts again; what is changed or dropped stays in the folder as NAME.bak-TIME. In mode bitcask only a damaged end of the log"},
	}
}

const checkLong = `Verify every record of a data folder, in its log and its snapshots, and say what is wrong, where, and what a repair would
drop.

No server may be using the folder. Nothing in it is changed unless --repair is given, and then only if there is damage:
the repair keeps all records before the first one that is damaged or missing, and in place of a damaged snapshot an older
one, if the log leads from there. Make a copy of the folder before. In mode bitcask it cuts off a damaged end of the log, and
refuses anything else, since a key's newest value may lie behind the damage.

The exit status is 0 if there is no damage or it has been repaired, 1 if the folder is damaged, and 2 if it could not
be checked or repaired.`

func newCheck(t terminal) *cobra.Command {
	var cfg checkConfig
	s := &settings{options: cfg.options()}
	c := &cobra.Command{
		Use:     "check DIR",
		Short:   "Verify a data folder, and repair it if told",
		Long:    checkLong,
		Example: "  nitrokv check ./data\n  nitrokv check /var/lib/nitrokv --repair",
		Args:    oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			warnUnknown(t)
			err := s.resolve(t.env)
			if err == nil {
				err = cfg.run(args[0], t.stdout)
			}
			if err != nil {
				return fmt.Errorf("check: %w", trimPrefix(withoutCode(err), "engine: check: "))
			}
			return nil
		},
	}
	c.DisableFlagsInUseLine = true
	s.attach(c)
	return c
}

func oneFolder(c *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("%s: needs one folder, got %d operands; write: nitrokv check DIR", c.Name(), len(args))
	}
	return nil
}

// run checks, reports on stdout, and returns errDamaged if damage is left.
func (c *checkConfig) run(dir string, stdout io.Writer) error {
	var problem error // of writing to stdout
	say := func(format string, args ...any) {
		if _, err := fmt.Fprintf(stdout, format+"\n", args...); err != nil && problem == nil {
			problem = fmt.Errorf("write to stdout: %w", err)
		}
	}
	r, err := engine.Check(engine.CheckOptions{Dir: dir, Repair: c.repair, Found: func(f engine.Finding) { say("%s", findingText(f)) }})
	if err != nil {
		return err
	}
	say("%s", summaryText(dir, &r))
	switch {
	case r.Damages == 0:
		say("no damage")
	case r.Repaired:
		say("repaired: dropped %s; what was changed is kept as %s", dropText(&r), filepath.Join(dir, fmt.Sprintf("*.bak-%d", r.RepairedAt.UnixMilli())))
	default:
		say("%s", adviceText(dir, &r))
		return errors.Join(problem, fmt.Errorf("%s is %w%s", dir, errDamaged, whereText(&r)))
	}
	return problem
}

// adviceText is what can be done about damage.
func adviceText(dir string, r *engine.CheckResult) string {
	repair := "nitrokv check " + shellWord(dir) + " --repair"
	switch {
	case r.Repairable:
		return fmt.Sprintf("a repair would drop %s; after making a copy of the folder: %s", dropText(r), repair)
	case r.Starts:
		return "no repair drops that, since a key's newest value may lie behind it. A server starts with the folder as it is: what is whole is " +
			"served, and reads of what is damaged answer errors until those keys are written or deleted. When that is done, nitrokv convert --from " +
			shellWord(dir) + " --mode bitcask --to NEW makes a folder without the damage. Or put back a copy of the folder"
	case r.Mode == engine.ModeBitcask:
		return "no repair drops that, since a key's newest value may lie behind it, and a start refuses the folder: put back a copy of it, " +
			"and what was there goes on. Keep the damaged folder elsewhere until then: its other files are as they were"
	}
	return "no repair is possible with what is left; " + repair + " says what can be restored from it, and changes nothing. Or restore a backup"
}

// findingText is a finding in one line.
func findingText(f engine.Finding) string {
	text := "note: "
	if f.Damage {
		text = "DAMAGE: "
	}
	if f.File != "" {
		text += fmt.Sprintf("%s, offset %d: ", f.File, f.Offset)
	}
	if f.LSN != 0 {
		text += fmt.Sprintf("LSN %d: ", f.LSN)
	}
	return text + f.Text
}

func summaryText(dir string, r *engine.CheckResult) string {
	text := fmt.Sprintf("%s: %s, %s; %s, up to LSN %d; known to be durable: up to LSN %d",
		dir, countText(r.Files, "log file"), sizeText(r.Bytes), countText(r.Records, "valid record"), r.LastLSN, r.DurableLSN)
	if r.Snapshots > 0 {
		text += fmt.Sprintf("; %s, the newest of LSN %d", countText(r.Snapshots, "snapshot"), r.SnapshotLSN)
	}
	if r.Clean {
		text += "; stopped cleanly"
	}
	return text
}

func dropText(r *engine.CheckResult) string {
	if r.DropRecords == 0 && r.DropBytes == 0 {
		return "no record of the log"
	}
	return fmt.Sprintf("%s (%s)", countText(r.DropRecords, "record"), sizeText(r.DropBytes))
}

func countText(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// whereText names the first record that is gone, if it is a record that is.
func whereText(r *engine.CheckResult) string {
	if r.BadLSN == 0 {
		return ""
	}
	return fmt.Sprintf(": LSN %d was durable and is not there (log file %d, offset %d)", r.BadLSN, r.BadFile, r.BadOffset)
}
