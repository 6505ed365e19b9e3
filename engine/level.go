package engine

/*
#include "nitro.h"
*/
import "C"

import "fmt"

// Level says when a write is acknowledged, and when a read may show what it has found: how much of the log must be
// safe by then. The zero Level stands for the default, LevelAlways.
type Level uint8

// The levels. At each of them, killing the process loses nothing that was acknowledged.
const (
	LevelNever    Level = C.NITRO_LEVEL_NEVER    // written: a power cut may take the last seconds
	LevelEverysec Level = C.NITRO_LEVEL_EVERYSEC // written: a power cut takes a second at most (Options.SyncInterval)
	LevelAlways   Level = C.NITRO_LEVEL_ALWAYS   // durable: a power cut takes nothing
)

var levelNames = [...]string{LevelNever: "never", LevelEverysec: "everysec", LevelAlways: "always"}

// ParseLevel is the reverse of Level.String.
func ParseLevel(s string) (Level, error) {
	for l, name := range levelNames {
		if name != "" && name == s {
			return Level(l), nil
		}
	}
	return 0, fmt.Errorf("engine: durability level %q, want always, everysec or never: %w", s, ErrArgument)
}

// String returns "always", "everysec" or "never".
func (l Level) String() string {
	if int(l) < len(levelNames) && levelNames[l] != "" {
		return levelNames[l]
	}
	return fmt.Sprintf("level %d", uint8(l))
}
