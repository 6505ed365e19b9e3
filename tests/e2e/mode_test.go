package e2e

import (
	"fmt"
	"os"
	"slices"
)

// The tests run over mode memory. With NK_TEST_MODE=bitcask those that are about nothing but clients and data run over mode
// bitcask as they are: "make e2e-bitcask" names them. Files are as small as they may be and anything dead is merged, so
// rotation and merges are always under way.

const testModeVariable = "NK_TEST_MODE"

// bitcaskArgs are the options of a server that always merges.
var bitcaskArgs = []string{"--mode", "bitcask", "--max-file-size", "64KiB", "--merge-dead-percent", "1"}

// checkTestMode refuses what is no mode: a run over the wrong one would prove nothing.
func checkTestMode() error {
	if mode := os.Getenv(testModeVariable); !slices.Contains([]string{"", "memory", "bitcask"}, mode) {
		return fmt.Errorf("%s is %q; use memory or bitcask", testModeVariable, mode)
	}
	return nil
}

// inTestMode adds to a server's options what the mode of this run needs. A server that is told its mode, or keeps no log, is
// left alone.
func inTestMode(args []string) []string {
	noLog := slices.Contains(args, "--wal") || slices.Contains(args, "off") && slices.Contains(args, "--dir")
	if os.Getenv(testModeVariable) != "bitcask" || slices.Contains(args, "--mode") || noLog {
		return args
	}
	args = slices.Clone(args)
	for _, name := range []string{"--log-file-size", "--snapshot-compression"} { // which mode memory alone has
		if i := slices.Index(args, name); i >= 0 {
			args = slices.Delete(args, i, i+2)
		}
	}
	return append(args, bitcaskArgs...)
}
