//go:build !race

package tutoken_test

const raceDetector = false
