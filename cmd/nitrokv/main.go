package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/repl"
	"github.com/nitrokv/nitrokv/server"
)

// Exit statuses.
const (
	exitOK       = 0
	exitNotFound = 1
	exitDamaged  = 1 // of a check, or what else reads a folder or a backup, that has found damage
	exitRefused  = 1 // of commands of "nitrokv cli" that the server has answered with an error
	exitPartial  = 1 // of a load that has left out entries with something wrong
	exitNotMade  = 1 // of a conversion that has made nothing
	exitError    = 2
	exitLog      = 3 // of a server whose log could not be written or synced
)

// errNotFound is the cause of every exit with exitNotFound.
var errNotFound = errors.New("no such key")

func main() {
	os.Exit(run(os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr, os.Environ()}))
}

// terminal is what a command sees of the world.
type terminal struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	env    []string // as os.Environ
}

// run carries out one command line and returns the exit status. Whatever goes wrong becomes one line on stderr.
func run(args []string, t terminal) int {
	root := newRoot(t)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	err := prepare(root, args)
	if err == nil {
		err = root.Execute()
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(t.stderr, oneLine(err))
	switch {
	case errors.Is(err, errNotFound):
		return exitNotFound
	case errors.Is(err, errDamaged):
		return exitDamaged
	case errors.Is(err, repl.ErrRefused):
		return exitRefused
	case errors.Is(err, errIncomplete):
		return exitPartial
	case errors.Is(err, errNotConverted):
		return exitNotMade
	case errors.Is(err, server.ErrLogFailed):
		return exitLog
	}
	return exitError
}

// oneLine makes a line of an error, however many it joins, with the program's name in front once.
func oneLine(err error) string {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	return "nitrokv: " + strings.TrimPrefix(text, "nitrokv: ")
}

// newRoot builds the command tree.
func newRoot(t terminal) *cobra.Command {
	root := &cobra.Command{
		Use:           "nitrokv",
		Short:         "NitroKV, a key-value server that any Redis client can use",
		Long:          "NitroKV, a key-value server that any Redis client can use.\n\nStart with \"nitrokv serve\", then \"nitrokv put KEY VALUE\" and \"nitrokv get KEY\".",
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionText(),
	}
	root.SetIn(t.stdin)
	root.SetOut(t.stdout)
	root.SetErr(t.stderr)
	root.SetVersionTemplate("{{.Version}}")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newServe(t), newCLI(t), newPut(t), newGet(t), newDel(t), newIncr(t), newTTL(t), newExpire(t), newScan(t), newStats(t), newLoad(t), newDump(t), newBackup(t), newRestore(t), newConvert(t), newMerge(t), newBench(t), newCheck(t), newVersion(), newOptions())
	return root
}

// flagError says where the flags are listed, and which one may have been meant.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		err = unknownOption(c, typedFlag(unknown))
	}
	return fmt.Errorf("%s: %w; \"%s --help\" lists the options", c.Name(), err, c.CommandPath())
}

// typedFlag is an unknown flag as it was typed, without a value.
func typedFlag(e *pflag.NotExistError) string {
	if short, _, _ := strings.Cut(e.GetSpecifiedShortnames(), "="); short != "" {
		return "-" + short
	}
	return "--" + e.GetSpecifiedName()
}
