// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { QuestionId } from "../types/QuestionId.sol";
import { QuestionKey } from "../types/QuestionKey.sol";
import { IOracle } from "./IOracle.sol";

/// @title An oracle that is a game of doubling bonds
/// @notice Anybody proposes an outcome and puts up a bond. Whoever knows better disputes with another outcome and twice
/// the bond, and so on. The game over a question goes like this:
///
/// ANSWERS. An answer that stands for `liveness` seconds without a dispute wins.
/// CLOSING TIME. Answers end at `deadline - liveness - arbitrationWindow`. A game still running then is won by the outcome
/// that has stood longest, all its turns added up: no last-minute answer can win by being the last one. A first proposal
/// is accepted only while at least `ROUNDS` times `liveness` remain until then.
/// ARBITRATION. Until the answers have ended, anybody may call the arbitrator, once, and pay it what it asks. Its ruling,
/// given within `arbitrationWindow` seconds, wins. Meanwhile answers go on as if nobody had called it; so an arbitrator
/// that refuses, fails or stays silent changes nothing.
/// BONDS. Who answered what won gets that bond back and, in proportion to it, all the other bonds. When nobody answered
/// what the arbitrator ruled, all bonds are its caller's.
///
/// All of this is over one `liveness` before the deadline: that much time remains for `settle`. Bonds are paid by what
/// the game decided, settled or not. Why these rules: docs/decisions/2026-11-21-optimistic-oracle-endgame.md.
///
/// Terms are `abi.encode(Terms)`, the proof is empty. A bond token that takes a fee is refused; one that changes balances
/// on its own or refuses some of its owners harms those who accept it as a question's bond, and no other token's games.
interface IOptimisticOracle is IOracle {
    /// @notice The rules of a question's game.
    /// @param bondToken The ERC-20 the bonds are in.
    /// @param minimumBond Least bond of a first answer, in the token's smallest unit, 1 to 2^127 - 1.
    /// @param opens Unix time in seconds from which a first answer is accepted: when the true one can be known. A false
    /// one given before that could not be disputed with a true one.
    /// @param liveness Seconds an answer has to stand, at least 1.
    /// @param arbitrator Who may be called; zero for nobody.
    /// @param arbitrationWindow Seconds it has for its ruling.
    struct Terms {
        address bondToken;
        uint128 minimumBond;
        uint64 opens;
        uint32 liveness;
        address arbitrator;
        uint32 arbitrationWindow;
    }

    /// @notice A question's game; all zero before the first answer.
    /// @param bondToken From the terms.
    /// @param closes Unix time in seconds from which no answer is accepted.
    /// @param liveness From the terms.
    /// @param arbitrator From the terms.
    /// @param since Unix time in seconds of the standing answer.
    /// @param arbitrationWindow From the terms.
    /// @param requester Who called the arbitrator; zero for nobody.
    /// @param rulingUntil Unix time in seconds from which a ruling is refused; zero when the arbitrator was not called.
    /// @param outcome The standing answer.
    /// @param leader The outcome that had stood longest when the standing answer came.
    /// @param isRuled Whether the arbitrator has ruled.
    /// @param ruling What it ruled.
    /// @param bond The standing answer's bond.
    /// @param pot All bonds put up.
    struct Game {
        address bondToken;
        uint64 closes;
        uint32 liveness;
        address arbitrator;
        uint64 since;
        uint32 arbitrationWindow;
        address requester;
        uint64 rulingUntil;
        uint8 outcome;
        uint8 leader;
        bool isRuled;
        uint8 ruling;
        uint256 bond;
        uint256 pot;
    }

    /// @notice An answer now stands.
    /// @param evidenceHash Hash of what speaks for it.
    event AnswerGiven(
        QuestionId indexed question,
        address indexed answerer,
        uint8 outcome,
        uint256 bond,
        bytes32 evidenceHash
    );

    /// @notice The arbitrator was called.
    /// @param until Unix time in seconds from which a ruling is refused.
    event ArbitrationRequested(QuestionId indexed question, address indexed requester, uint64 until);

    /// @notice The arbitrator ruled; the game is over.
    event ArbitratorRuled(QuestionId indexed question, uint8 outcome);

    /// @notice `account` took its share of the bonds.
    event BondsClaimed(QuestionId indexed question, address indexed account, address to, uint256 amount);

    /// @notice Thrown when the terms' liveness is 0.
    error LivenessIsZero();
    /// @notice Thrown when the terms' minimum bond is 0 or over 2^127 - 1.
    error MinimumBondOutOfRange(uint256 minimumBond);
    /// @notice Thrown when the terms' bond token has no code.
    error InvalidBondToken(address token);
    /// @notice Thrown when an outcome does not exist.
    error OutcomeOutOfRange(QuestionId question, uint256 outcome);
    /// @notice Thrown when a first answer was given already.
    error AlreadyProposed(QuestionId question);
    /// @notice Thrown when nobody gave a first answer yet.
    error NotProposed(QuestionId question);
    /// @notice Thrown when a first answer comes before the terms allow it.
    error ProposalTooEarly(QuestionId question, uint256 opens, uint256 timestamp);
    /// @notice Thrown when a first answer comes too late for the game to have its rounds. `latest` is 0 when the deadline
    /// never left room for it.
    error ProposalTooLate(QuestionId question, uint256 latest, uint256 timestamp);
    /// @notice Thrown when answers have ended: at `end`, or before that by a ruling.
    error AnswersEnded(QuestionId question, uint256 end);
    /// @notice Thrown when a dispute repeats the standing answer.
    error SameAnswer(QuestionId question, uint256 outcome);
    /// @notice Thrown when a first bond is below `min` or above `max`, or doubling has gone beyond 2^254.
    error BondOutOfRange(uint256 bond, uint256 min, uint256 max);
    /// @notice Thrown when a dispute's bond is not twice the standing one.
    error WrongBond(QuestionId question, uint256 bond, uint256 needed);
    /// @notice Thrown when a bond did not arrive exactly.
    error BondMismatch(address token, uint256 expected, uint256 received);
    /// @notice Thrown when the terms name no arbitrator.
    error NoArbitrator(QuestionId question);
    /// @notice Thrown when the arbitrator was called before.
    error ArbitrationAlreadyRequested(QuestionId question, address requester);
    /// @notice Thrown when the arbitrator refuses or fails; then it was not called.
    error ArbitratorRefused(address arbitrator, bytes reason);
    /// @notice Thrown when somebody else than the arbitrator rules.
    error NotArbitrator(QuestionId question, address caller, address arbitrator);
    /// @notice Thrown when the arbitrator was not called, its window is over, or it has ruled. `until` is 0 for the first.
    error RulingRefused(QuestionId question, uint256 until, uint256 timestamp);
    /// @notice Thrown when bonds would be paid to the zero address.
    error ReceiverIsZero();
    /// @notice Thrown when the game left nothing, or nothing more, to the account.
    error NothingToClaim(QuestionId question, address account);

    /// @notice How many times `liveness` has to fit between a first answer and closing time.
    function ROUNDS() external view returns (uint256);

    /// @notice Gives the first answer.
    /// @param evidenceHash Hash of what speaks for it; whoever disputes or arbitrates will want to see that.
    /// @param bond At least the terms' minimum, at most 2^127 - 1, taken from the caller.
    function propose(
        QuestionKey calldata key,
        bytes calldata terms,
        uint8 outcome,
        bytes32 evidenceHash,
        uint256 bond
    ) external returns (QuestionId question);

    /// @notice Replaces the standing answer by another one.
    /// @param bond Twice the standing bond: stated so that nobody pays more than intended when another was faster.
    function dispute(QuestionId question, uint8 outcome, bytes32 evidenceHash, uint256 bond) external;

    /// @notice Calls the arbitrator and hands it the ether sent along.
    function requestArbitration(QuestionId question) external payable;

    /// @notice The arbitrator's answer, for good. Not within `requestArbitration`.
    function rule(QuestionId question, uint8 outcome) external;

    /// @notice Pays the caller its share of the bonds to `to`, once the game is over.
    function claim(QuestionId question, address to) external returns (uint256 amount);

    /// @notice Whether the game is over, and what won; 0 while it is not.
    function verdict(QuestionId question) external view returns (bool isFinal, uint8 outcome);

    /// @notice What `claim` would pay `account` now.
    function claimable(QuestionId question, address account) external view returns (uint256);

    /// @notice The game as stored.
    function games(QuestionId question) external view returns (Game memory);

    /// @notice What stands behind an outcome.
    /// @return bonds All bonds put up for it.
    /// @return stood Seconds it has stood, without the turn still running.
    function support(QuestionId question, uint8 outcome) external view returns (uint256 bonds, uint256 stood);

    /// @notice What `account` put up for an outcome and did not claim yet.
    function bondOf(QuestionId question, uint8 outcome, address account) external view returns (uint256);

    /// @notice Decodes terms; reverts without a reason when they are none.
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory);
}
