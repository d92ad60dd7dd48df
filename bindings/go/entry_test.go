package tutoken

import (
	"fmt"
	"testing"
)

func TestEveryAddedScopeIsFound(t *testing.T) {
	var known scopes
	if known.find("") != nil || known.find("scope.0") != nil {
		t.Fatal("found in an empty list")
	}
	added := map[string]*entry{}
	for at := range maxScopes + 1 {
		scope := fmt.Sprintf("scope.%d", at)
		added[scope] = &entry{}
		known.add(scope, added[scope])
		known.add(scope, &entry{}) // The first one stays.
	}
	for at := range maxScopes {
		// Another string with the same text.
		scope := string([]byte(fmt.Sprintf("scope.%d", at)))
		if known.find(scope) != added[scope] {
			t.Fatalf("not found: %s", scope)
		}
	}
	if known.find("") != nil || known.find(fmt.Sprintf("scope.%d", maxScopes)) != nil {
		t.Error("found what was not added")
	}
	known.clear()
	if known.find("scope.0") != nil {
		t.Error("found in a cleared list")
	}
}
