//go:build race

package tutoken_test

const raceDetector = true
