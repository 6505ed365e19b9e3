//go:build race

package server

// raceEnabled: the race detector multiplies memory.
const raceEnabled = true
