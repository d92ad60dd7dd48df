// Package rounds measures ways to get a token, and writes the rounds to the file of results.
package rounds

import (
	"fmt"
	"log"
	"os"
	"strings"
)

// Write appends one row to the file that BENCH_RESULTS names, if it names one. The format is described
// in benches/report/src/samples.rs. at is where it was measured, such as the number of goroutines.
func Write(group, row string, at float64, unit string, rounds []float64) {
	path := os.Getenv("BENCH_RESULTS")
	if path == "" {
		return
	}
	words := make([]string, len(rounds))
	for i, round := range rounds {
		words[i] = fmt.Sprintf("%.9g", round)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	fmt.Fprintf(file, "%s\t%s\t%g\t%s\t%s\n", group, row, at, unit, strings.Join(words, " "))
}
