//! What a Dockerfile can say. Texts hold quotes and variables as they were written; `expand`
//! resolves them when the instruction's turn has come.

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    From(From),
    Run(Run),
    Cmd(Program),
    Entrypoint(Program),
    Shell(Vec<String>),
    Label(Vec<(String, String)>),
    Env(Vec<(String, String)>),
    Arg(Vec<(String, Option<String>)>),
    Expose(Vec<String>),
    Volume(Vec<String>),
    User(String),
    Workdir(String),
    StopSignal(String),
    /// The instruction as it was written, for the image's children.
    OnBuild(String),
    Maintainer(String),
    HealthCheck(HealthCheckSpec),
    Add(Copy),
    Copy(Copy),
}

/// `FROM`: begins a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage, or `scratch`.
    pub image: String,
    /// `AS name`, in lower case.
    pub name: Option<String>,
    pub platform: Option<String>,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The JSON form: executed as it is.
    Exec(Vec<String>),
    /// Handed to the shell.
    Shell(String),
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub program: Program,
    /// `--network`, when it was given.
    pub network: Option<String>,
}

/// `ADD` or `COPY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub sources: Vec<CopySource>,
    pub destination: String,
    /// `--from`: a stage, its number, or an image.
    pub from: Option<String>,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    /// `--checksum` of a file that `ADD` downloads.
    pub checksum: Option<String>,
}

/// Where the content of a copy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern of the context or of `--from`, or a URL.
    Path(String),
    /// A here-document.
    Inline {
        name: String,
        content: String,
        /// Its delimiter was not quoted.
        has_variables: bool,
    },
}

/// `HEALTHCHECK`; durations in nanoseconds, zero where nothing was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheckSpec {
    /// `None` is `HEALTHCHECK NONE`.
    pub program: Option<Program>,
    pub interval_ns: i64,
    pub timeout_ns: i64,
    pub start_period_ns: i64,
    pub start_interval_ns: i64,
    pub retries: i64,
}

impl Instruction {
    /// Its keyword.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::From(_) => "FROM",
            Self::Run(_) => "RUN",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Shell(_) => "SHELL",
            Self::Label(_) => "LABEL",
            Self::Env(_) => "ENV",
            Self::Arg(_) => "ARG",
            Self::Expose(_) => "EXPOSE",
            Self::Volume(_) => "VOLUME",
            Self::User(_) => "USER",
            Self::Workdir(_) => "WORKDIR",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::OnBuild(_) => "ONBUILD",
            Self::Maintainer(_) => "MAINTAINER",
            Self::HealthCheck(_) => "HEALTHCHECK",
            Self::Add(_) => "ADD",
            Self::Copy(_) => "COPY",
        }
    }
}
