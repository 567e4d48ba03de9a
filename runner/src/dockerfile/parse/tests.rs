use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Result<Instruction, String> {
    parse_change(text).map_err(|error| error.to_string())
}

#[test]
fn instructions_are_read() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    for (text, expected) in [
        (
            "cmd [\"a\", \"b\"]",
            Instruction::Cmd(Program::Exec(strings(&["a", "b"]))),
        ),
        ("CMD [a", Instruction::Cmd(Program::Shell("[a".to_owned()))),
        (
            "ENV A=1 B=\"x y\" C=\\ z",
            Instruction::Env(pairs(&[("A", "1"), ("B", "\"x y\""), ("C", "\\ z")])),
        ),
        ("ENV A  b = c", Instruction::Env(pairs(&[("A", "b = c")]))),
        ("LABEL a.b=c", Instruction::Label(pairs(&[("a.b", "c")]))),
        (
            "ARG A B=2",
            Instruction::Arg(vec![
                ("A".to_owned(), None),
                ("B".to_owned(), Some("2".to_owned())),
            ]),
        ),
        (
            "VOLUME [\"/a\", \"/b c\"]",
            Instruction::Volume(strings(&["/a", "/b c"])),
        ),
        (
            "EXPOSE 80 443/tcp",
            Instruction::Expose(strings(&["80", "443/tcp"])),
        ),
        ("ONBUILD RUN x", Instruction::OnBuild("RUN x".to_owned())),
    ] {
        assert_eq!(one(text), Ok(expected), "{text}");
    }
    let Ok(Instruction::From(from)) = one("FROM --platform=linux/arm64 a:1 AS Build") else {
        panic!("no FROM");
    };
    assert_eq!(
        (from.image.as_str(), from.name.as_deref()),
        ("a:1", Some("build"))
    );
    let Ok(Instruction::HealthCheck(check)) =
        one("HEALTHCHECK --interval=1m30s --retries=3 CMD curl x")
    else {
        panic!("no HEALTHCHECK");
    };
    assert_eq!((check.interval_ns, check.retries), (90_000_000_000, 3));
    let Ok(Instruction::Copy(copy)) = one("COPY --from=0 --chown=1:2 a b /c/") else {
        panic!("no COPY");
    };
    assert_eq!((copy.sources.len(), copy.destination.as_str()), (2, "/c/"));
}

#[test]
fn mistakes_are_named() {
    for (text, why) in [
        (
            "ENTERPOINT java",
            "unknown instruction: ENTERPOINT (did you mean ENTRYPOINT?)",
        ),
        ("BANANA x", "unknown instruction: BANANA"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a AS 1x", "invalid name for build stage"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", "can't find = in \"B\""),
        ("COPY a", "COPY requires at least two arguments"),
        ("COPY --nosuch a b", "unknown flag: --nosuch"),
        ("COPY --chown=1 --chown=2 a b", "duplicate flag"),
        ("RUN --mount=type=cache,target=/x y", "requires BuildKit"),
        ("RUN", "RUN requires at least one argument"),
        ("SHELL bash", "JSON form"),
        ("ONBUILD ONBUILD x", "isn't allowed"),
        ("ONBUILD FROM x", "isn't allowed"),
        ("HEALTHCHECK CMD", "Missing command"),
        ("HEALTHCHECK --interval=5 CMD x", "invalid duration"),
        ("HEALTHCHECK x", "Unknown type"),
        ("WORKDIR", "requires exactly one argument"),
    ] {
        let error = one(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
    for (file, why) in [
        ("", "no instructions"),
        ("# only\n", "no instructions"),
        ("RUN x", "line 1: no build stage"),
        ("ARG A=1\n\nCMD x", "line 3: no build stage"),
        ("ARG A", "no build stage"),
        ("FROM a\nENTERPOINT x", "line 2: unknown instruction"),
    ] {
        let error = parse(file).expect_err(file).to_string();
        assert!(error.contains(why), "{file:?}: {error}");
    }
}

#[test]
fn here_documents_become_scripts_and_files() {
    let file =
        parse("FROM a\nRUN <<EOF\necho $x\nEOF\nRUN cat <<E > /f\nhi\nE\nCOPY <<\"F\" /d\n$y\nF\n");
    let steps = file.unwrap().steps;
    let run = |step: &Step| match &step.instruction {
        Instruction::Run(Run {
            program: Program::Shell(text),
            ..
        }) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(run(&steps[1]), "echo $x\n");
    assert_eq!(run(&steps[2]), "cat <<E > /f\nhi\nE\n");
    let Instruction::Copy(copy) = &steps[3].instruction else {
        panic!("no COPY");
    };
    let inline = CopySource::Inline {
        name: "F".to_owned(),
        content: "$y\n".to_owned(),
        has_variables: false,
    };
    assert_eq!(
        (&copy.sources[..], copy.destination.as_str()),
        (&[inline][..], "/d")
    );
    assert!(parse("FROM a\nRUN <<E\n#!/bin/x\nE").is_err());
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(text in "(FROM a\n)?([A-Z]{2,6} |RUN|COPY|ENV |[-a=\\[\\]\"'$<>#\\\\ \n]){0,40}") {
        drop(parse(&text));
    }
}
