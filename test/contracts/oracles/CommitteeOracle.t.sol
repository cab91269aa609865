// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC1271 } from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import { ICommitteeOracle } from "../../../contracts/interfaces/ICommitteeOracle.sol";
import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { IOracle } from "../../../contracts/interfaces/IOracle.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { QuestionKey } from "../../../contracts/types/QuestionKey.sol";
import { OracleBase } from "./utils/OracleBase.sol";

/// @notice A contract that signs: or does something else when asked whether it did.
contract Wallet is IERC1271 {
    enum Mood {
        Honest,
        Refusing,
        Reverting,
        Short
    }

    bytes32 public approved;
    Mood public mood;

    function set(bytes32 approved_, Mood mood_) external {
        (approved, mood) = (approved_, mood_);
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        if (mood == Mood.Reverting) revert("no");
        if (mood == Mood.Short) {
            assembly ("memory-safe") {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 4)
            }
        }
        if (mood == Mood.Refusing || hash != approved) return 0xffffffff;
        return IERC1271.isValidSignature.selector;
    }
}

contract CommitteeOracleTest is OracleBase {
    uint256 private constant CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint8 private constant OUTCOMES = 4;

    ICommitteeOracle private committee;
    QuestionKey private key;
    bytes private terms;
    QuestionId private question;
    /// @dev Private keys in the order of their addresses.
    uint256[] private keys;
    /// @dev In storage, as the optimizer reads `block.chainid` anew wherever it is used.
    uint256 private home = block.chainid;
    address[] private members;

    function setUp() public override {
        super.setUp();
        committee = ICommitteeOracle(_deploy("CommitteeOracle", address(ledger)));
        for (uint256 i = 1; i <= 5; ++i) _insert(i);
        key = _key(OUTCOMES, DEADLINE);
        _use(members, 3);
    }

    function _insert(uint256 privateKey) private {
        address member = vm.addr(privateKey);
        keys.push(privateKey);
        members.push(member);
        for (uint256 i = members.length - 1; i > 0 && members[i - 1] > member; --i) {
            (keys[i], keys[i - 1]) = (keys[i - 1], keys[i]);
            (members[i], members[i - 1]) = (members[i - 1], members[i]);
        }
    }

    function _use(address[] memory members_, uint256 threshold) private {
        terms = abi.encode(ICommitteeOracle.Terms(members_, threshold));
        question = _askOf(committee, key, terms);
    }

    function _sign(uint256 privateKey, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, hash);
        return abi.encodePacked(r, s, v);
    }

    /// @notice A proof signed by the members whose bits are set.
    function _signed(uint256 survivors, uint256 who) private view returns (ICommitteeOracle.Proof memory proof) {
        bytes32 hash = committee.digest(question, survivors);
        uint256 count = 0;
        for (uint256 i = 0; i < members.length; ++i) count += (who >> i) & 1;
        proof = ICommitteeOracle.Proof(survivors, new address[](count), new bytes[](count));
        uint256 next = 0;
        for (uint256 i = 0; i < members.length; ++i) {
            if ((who >> i) & 1 == 0) continue;
            proof.signers[next] = members[i];
            proof.signatures[next++] = _sign(keys[i], hash);
        }
    }

    function _settle(ICommitteeOracle.Proof memory proof) private returns (uint256 survivors) {
        (, survivors) = committee.settle(key, terms, abi.encode(proof));
    }

    function _expectInvalid(address signer) private {
        _expect(abi.encodeWithSelector(ICommitteeOracle.InvalidSignature.selector, signer));
    }

    /* what members sign */

    function test_digest_isTheTypedDataHash() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Multiverse CommitteeOracle"),
                keccak256("1"),
                block.chainid,
                address(committee)
            )
        );
        bytes32 verdict = keccak256(
            abi.encode(keccak256("Verdict(bytes32 question,uint256 survivors)"), question, uint256(5))
        );
        vm.assertEq(committee.digest(question, 5), keccak256(abi.encodePacked(hex"1901", domain, verdict)), "digest");
    }

    /* settle */

    function test_settle_recordsWhatAMajoritySigned() public {
        _assertStatus(committee, question, IOracle.Status.Open, "open");
        vm.prank(carol);
        (QuestionId settled, uint256 survivors) = committee.settle(key, terms, abi.encode(_signed(2, 7)));
        vm.assertTrue(settled == question, "id");
        vm.assertEq(survivors, 2, "survivors");
        _assertLive(question, 2, "ledger");
        _assertStatus(committee, question, IOracle.Status.Settled, "settled");
    }

    /// @notice Every set of members large enough settles, every smaller one does not.
    function test_fuzz_settle_takesExactlyTheMajorities(uint256 who, uint256 outcome) public {
        who = _bound(who, 0, 31);
        uint256 count = 0;
        for (uint256 i = 0; i < 5; ++i) count += (who >> i) & 1;
        ICommitteeOracle.Proof memory proof = _signed(1 << _bound(outcome, 0, OUTCOMES - 1), who);
        if (count < 3) {
            _expect(abi.encodeWithSelector(ICommitteeOracle.TooFewSigners.selector, count, uint256(3)));
        }
        _settle(proof);
        if (count >= 3) _assertLive(question, proof.survivors, "ledger");
    }

    function test_settle_againIsSilent() public {
        _settle(_signed(2, 7));
        vm.recordLogs();
        _settle(_signed(2, 28));
        vm.assertEq(vm.getRecordedLogs().length, 0, "no events");
    }

    function test_settle_revertsOnAnotherVerdictAfterTheFirst() public {
        _settle(_signed(2, 7));
        ICommitteeOracle.Proof memory other = _signed(4, 28);
        _expect(_alreadyResolved(question, 1));
        _settle(other);
    }

    function test_settle_narrowsStepByStep() public {
        ICommitteeOracle.Proof memory early = _signed(13, 7);
        _settle(early);
        _assertLive(question, 13, "three left");
        _assertStatus(committee, question, IOracle.Status.Open, "open still");
        _settle(_signed(12, 7));
        _assertLive(question, 12, "two left");

        // What was signed earlier cannot bring an outcome back.
        _expect(abi.encodeWithSelector(IMultiverse.InvalidSurvivors.selector, question, uint256(13), uint256(12)));
        _settle(early);
        _settle(_signed(4, 7));
        _assertLive(question, 4, "one left");
    }

    function test_settle_leavesSurvivorsToTheLedgersRules() public {
        uint256[3] memory wrong = [uint256(0), 3, 16];
        for (uint256 i = 0; i < wrong.length; ++i) {
            ICommitteeOracle.Proof memory proof = _signed(wrong[i], 7);
            _expect(abi.encodeWithSelector(IMultiverse.InvalidSurvivors.selector, question, wrong[i], uint256(15)));
            _settle(proof);
        }
    }

    function test_settle_revertsAfterTheDeadline() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        vm.warp(DEADLINE);
        _expect(
            abi.encodeWithSelector(IMultiverse.DeadlinePassed.selector, question, uint256(DEADLINE), uint256(DEADLINE))
        );
        _settle(proof);
        // Void is what time has decided already.
        _settle(_signed(8, 7));
    }

    function test_settle_takesACommitteeOfOne() public {
        address[] memory one = new address[](1);
        one[0] = members[2];
        _use(one, 1);
        vm.assertEq(_settle(_signed(1, 4)), 1, "one");
    }

    function test_settle_takesAllOfThem() public {
        _use(members, 5);
        ICommitteeOracle.Proof memory four = _signed(1, 15);
        _expect(abi.encodeWithSelector(ICommitteeOracle.TooFewSigners.selector, uint256(4), uint256(5)));
        _settle(four);
        vm.assertEq(_settle(_signed(1, 31)), 1, "five");
    }

    /* signers */

    function test_settle_revertsOnOneSignerTwice() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        (proof.signers[2], proof.signatures[2]) = (proof.signers[1], proof.signatures[1]);
        _expect(abi.encodeWithSelector(ICommitteeOracle.SignersNotAscending.selector, uint256(2)));
        _settle(proof);
    }

    function test_settle_revertsOnSignersOutOfOrder() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        (proof.signers[0], proof.signers[1]) = (proof.signers[1], proof.signers[0]);
        (proof.signatures[0], proof.signatures[1]) = (proof.signatures[1], proof.signatures[0]);
        _expect(abi.encodeWithSelector(ICommitteeOracle.SignersNotAscending.selector, uint256(1)));
        _settle(proof);
    }

    function test_settle_revertsOnTheZeroSigner() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        proof.signers[0] = address(0);
        _expect(abi.encodeWithSelector(ICommitteeOracle.SignersNotAscending.selector, uint256(0)));
        _settle(proof);
    }

    /// @notice Wherever the stranger's address sorts among the members.
    function test_fuzz_settle_revertsOnAStranger(uint256 privateKey) public {
        _expectStranger(_bound(privateKey, 1000, 1e9));
    }

    function test_settle_revertsOnAStrangerBeforeAndAfterAllMembers() public {
        uint256 privateKey = 1000;
        while (vm.addr(privateKey) > members[0]) ++privateKey;
        _expectStranger(privateKey);
        while (vm.addr(privateKey) < members[4]) ++privateKey;
        _expectStranger(privateKey);
    }

    function _expectStranger(uint256 privateKey) private {
        address stranger = vm.addr(privateKey);
        ICommitteeOracle.Proof memory proof = ICommitteeOracle.Proof(2, new address[](6), new bytes[](6));
        bytes32 hash = committee.digest(question, 2);
        uint256 place = 0;
        while (place < 5 && members[place] < stranger) ++place;
        for (uint256 i = 0; i < 6; ++i) {
            (proof.signers[i], proof.signatures[i]) =
                i == place
                    ? (stranger, _sign(privateKey, hash))
                    : (members[i < place ? i : i - 1], _sign(keys[i < place ? i : i - 1], hash));
        }
        _expect(abi.encodeWithSelector(ICommitteeOracle.NotMember.selector, stranger));
        _settle(proof);
    }

    function test_settle_revertsOnSignersAndSignaturesOfDifferentNumber() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        proof.signatures = new bytes[](2);
        _expect(abi.encodeWithSelector(ICommitteeOracle.SignatureCountMismatch.selector, uint256(3), uint256(2)));
        _settle(proof);
        proof.signatures = new bytes[](4);
        _expect(abi.encodeWithSelector(ICommitteeOracle.SignatureCountMismatch.selector, uint256(3), uint256(4)));
        _settle(proof);
    }

    /* signatures */

    function test_settle_revertsOnASignatureOverOtherSurvivors() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        proof.survivors = 4;
        _expectInvalid(members[0]);
        _settle(proof);
    }

    function test_settle_revertsOnASignatureOverAnotherQuestion() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        key.specHash = keccak256("another");
        _use(members, 3);
        _expectInvalid(members[0]);
        _settle(proof);
    }

    function test_settle_revertsOnASignatureFromAnotherChain() public {
        cheats.chainId(home + 1);
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        cheats.chainId(home);
        _expectInvalid(members[0]);
        _settle(proof);
    }

    /// @notice As if the chain had split: what was signed before the split is worth nothing on the other side.
    function test_settle_revertsAfterTheChainSplit() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        cheats.chainId(home + 1);
        _expectInvalid(members[0]);
        _settle(proof);
    }

    function test_settle_revertsOnASignatureForAnotherContract() public {
        ICommitteeOracle other = ICommitteeOracle(_deploy("CommitteeOracle", address(ledger)));
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        bytes32 hash = other.digest(question, 2);
        for (uint256 i = 0; i < 3; ++i) proof.signatures[i] = _sign(keys[i], hash);
        _expectInvalid(members[0]);
        _settle(proof);
    }

    function test_settle_revertsOnAnothersSignature() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        proof.signatures[1] = proof.signatures[2];
        _expectInvalid(members[1]);
        _settle(proof);
    }

    function test_settle_revertsOnTheOtherHalfOfTheCurve() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[2], committee.digest(question, 2));
        proof.signatures[2] = abi.encodePacked(r, bytes32(CURVE_ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        _expectInvalid(members[2]);
        _settle(proof);
    }

    function test_settle_revertsOnASignatureThatRecoversToNobody() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        proof.signatures[0] = abi.encodePacked(uint256(1), uint256(1), uint8(29));
        _expectInvalid(members[0]);
        _settle(proof);
        proof.signatures[0] = "";
        _expectInvalid(members[0]);
        _settle(proof);
    }

    /* contracts as members */

    function _withWallet() private returns (Wallet wallet, ICommitteeOracle.Proof memory proof) {
        wallet = new Wallet();
        address[] memory one = new address[](1);
        one[0] = address(wallet);
        _use(one, 1);
        proof = ICommitteeOracle.Proof(2, one, new bytes[](1));
        proof.signatures[0] = "anything of any length the wallet understands";
    }

    function test_settle_takesAContractsWord() public {
        (Wallet wallet, ICommitteeOracle.Proof memory proof) = _withWallet();
        wallet.set(committee.digest(question, 2), Wallet.Mood.Honest);
        vm.assertEq(_settle(proof), 2, "wallet");
    }

    function test_settle_revertsWhenAContractDidNotSign() public {
        (Wallet wallet, ICommitteeOracle.Proof memory proof) = _withWallet();
        wallet.set(committee.digest(question, 4), Wallet.Mood.Honest);
        _expectInvalid(address(wallet));
        _settle(proof);
    }

    function test_settle_revertsWhenAContractMisbehaves() public {
        (Wallet wallet, ICommitteeOracle.Proof memory proof) = _withWallet();
        for (uint256 mood = 1; mood <= uint256(Wallet.Mood.Short); ++mood) {
            wallet.set(committee.digest(question, 2), Wallet.Mood(mood));
            _expectInvalid(address(wallet));
            _settle(proof);
        }
    }

    function test_settle_needsNoMemberInParticular() public {
        Wallet wallet = new Wallet();
        wallet.set(0, Wallet.Mood.Reverting);
        address[] memory three = new address[](3);
        (three[0], three[1], three[2]) = (members[0], members[1], address(wallet));
        for (uint256 i = 2; i > 0 && three[i - 1] > three[i]; --i) (three[i - 1], three[i]) = (three[i], three[i - 1]);
        _use(three, 2);
        vm.assertEq(_settle(_signed(2, 3)), 2, "the other two");
    }

    /* terms and proofs */

    function test_settle_revertsOnTermsThatDoNotHash() public {
        bytes memory other = abi.encode(ICommitteeOracle.Terms(members, 4));
        QuestionId derived = committee.questionId(key, other);
        bytes memory proof = abi.encode(_signed(2, 31));
        _expect(_unknown(derived));
        committee.settle(key, other, proof);
    }

    function test_settle_revertsOnMalformedTerms() public {
        terms = abi.encode(uint256(1), uint256(2));
        question = _askOf(committee, key, terms);
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        _expect(_malformedTerms(question));
        _settle(proof);
    }

    function test_settle_revertsOnAMalformedProof() public {
        _expect(_malformedProof(question));
        committee.settle(key, terms, hex"01");
    }

    function test_settle_revertsOnAThresholdThatIsNoMajority() public {
        uint256[4] memory wrong = [uint256(0), 1, 2, 6];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _use(members, wrong[i]);
            ICommitteeOracle.Proof memory proof = _signed(2, 31);
            _expect(abi.encodeWithSelector(ICommitteeOracle.ThresholdOutOfRange.selector, wrong[i], uint256(5)));
            _settle(proof);
        }
    }

    function test_settle_revertsOnHalfOfAnEvenCommittee() public {
        address[] memory four = new address[](4);
        for (uint256 i = 0; i < 4; ++i) four[i] = members[i];
        _use(four, 2);
        ICommitteeOracle.Proof memory proof = _signed(2, 15);
        _expect(abi.encodeWithSelector(ICommitteeOracle.ThresholdOutOfRange.selector, uint256(2), uint256(4)));
        _settle(proof);
        _use(four, 3);
        vm.assertEq(_settle(_signed(2, 7)), 2, "three of four");
    }

    function test_settle_revertsOnACommitteeOfNobody() public {
        _use(new address[](0), 0);
        ICommitteeOracle.Proof memory proof = _signed(2, 0);
        _expect(abi.encodeWithSelector(ICommitteeOracle.ThresholdOutOfRange.selector, uint256(0), uint256(0)));
        _settle(proof);
    }

    function test_settle_revertsOnMembersThatDoNotAscend() public {
        ICommitteeOracle.Proof memory proof = _signed(2, 7);
        address[] memory wrong = members;
        wrong[3] = wrong[2];
        _use(wrong, 3);
        _expect(abi.encodeWithSelector(ICommitteeOracle.MembersNotAscending.selector, uint256(3)));
        _settle(proof);
        wrong[0] = address(0);
        _use(wrong, 3);
        _expect(abi.encodeWithSelector(ICommitteeOracle.MembersNotAscending.selector, uint256(0)));
        _settle(proof);
    }

    /// @notice Any address above zero may be a member, whether or not it can ever sign.
    function test_settle_takesTheLowestAddressForAMember() public {
        address[] memory three = new address[](3);
        (three[0], three[1], three[2]) = (address(1), members[0], members[1]);
        _use(three, 2);
        ICommitteeOracle.Proof memory proof = _signed(2, 3);
        (proof.signers[1], proof.signers[0]) = (proof.signers[0], address(1));
        _expectInvalid(address(1));
        _settle(proof);
        vm.assertEq(_settle(_signed(2, 3)), 2, "the other two");
    }

    /* what all oracles share */

    function test_constructor_revertsOnALedgerWithoutCode() public {
        _expect(abi.encodeWithSelector(IOracle.MultiverseHasNoCode.selector, address(0xdead)));
        _deploy("CommitteeOracle", address(0xdead));
    }

    function test_multiverse_isTheLedger() public view {
        vm.assertEq(address(committee.multiverse()), address(ledger), "ledger");
    }

    function test_settle_revertsForAnotherOraclesQuestion() public {
        ICommitteeOracle other = ICommitteeOracle(_deploy("CommitteeOracle", address(ledger)));
        bytes memory proof = abi.encode(_signed(2, 7));
        _expect(_unknown(other.questionId(key, terms)));
        other.settle(key, terms, proof);
        _assertStatus(other, question, IOracle.Status.Unknown, "not its question");
    }

    function test_fuzz_questionId_bindsEveryPart(
        uint8 outcomes,
        uint64 deadline,
        bytes32 spec,
        bytes memory bytes_
    ) public view {
        QuestionId derived = committee.questionId(QuestionKey(outcomes, deadline, spec), bytes_);
        bytes32 hash = keccak256(abi.encode(address(committee), outcomes, deadline, spec, keccak256(bytes_)));
        vm.assertEq(QuestionId.unwrap(derived), bytes32((uint256(hash) & ~uint256(0xff)) | outcomes), "id");
    }
}
