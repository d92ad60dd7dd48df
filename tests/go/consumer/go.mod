module tutoken.example/consumer

go 1.24

require (
	golang.org/x/oauth2 v0.30.0
	tutoken.example/tutoken v0.0.0
	tutoken.example/tutoken/oauth2source v0.0.0
)

replace (
	tutoken.example/tutoken => ../../../bindings/go
	tutoken.example/tutoken/oauth2source => ../../../bindings/go/oauth2source
)
